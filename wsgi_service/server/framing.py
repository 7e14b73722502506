"""What is refused before Waitress takes a head for one: all that two servers could read in two ways (RFC 9112)."""

import re

from waitress.parser import ParsingError
from waitress.utilities import Error, RequestHeaderFieldsTooLarge, ServerNotImplemented

REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Z-]+ (?P<target>[\x21-\x22\x24-\x7e]+) HTTP/1\.(?P<minor>[01])")
#: No white space before the colon, nothing below 0x20 but tabs in the value (RFC 9110, section 5.5).
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\x09\x20-\x7e\x80-\xff]*)")
#: In origin-form, in absolute-form, or for OPTIONS (section 3.2).
TARGET = re.compile(rb"/.*|\*|https?://(?P<authority>[^/?]+)(?:[/?].*)?", re.IGNORECASE)
LENGTH = re.compile(rb"[0-9]{1,18}")
#: Fields that say where a request goes and where it ends; twice, they would say it in two ways.
SINGLE = (b"host", b"content-length", b"transfer-encoding")
MOST_FIELDS = 200
#: How requests can begin. The hello of TLS and other things do not, and would be waited for until the deadline.
BEGINNING = re.compile(rb"[\r\n!#$%&'*+.^_`|~0-9A-Za-z-]")


class Unreadable(ParsingError):  # type: ignore[misc]
    """A head that is not read.

    Args:
        error: Waitress's, which has the status.
    """

    def __init__(self, error: Error) -> None:
        super().__init__(error.body)
        self.error = error


def check_beginning(data: bytes) -> None:
    """Raises ParsingError for the first bytes of something that is no request."""
    if not BEGINNING.match(data):
        raise ParsingError("This is no HTTP.")


def check_head(head: bytes) -> None:
    """Raises ParsingError, or Unreadable if that is no 400, for a request line and fields that are not read.

    Args:
        head: up to the empty line, without blank lines before it.
    """
    first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
    match = REQUEST_LINE.fullmatch(first)
    if match is None:
        raise ParsingError("The request line is not HTTP/1.0 or HTTP/1.1.")
    if len(lines) > MOST_FIELDS:
        raise Unreadable(RequestHeaderFieldsTooLarge("There are too many fields."))
    fields = _fields(lines)
    _check_target(match["target"], fields.get(b"host"))
    _check_framing(fields, match["minor"] == b"1")


def _fields(lines: list[bytes]) -> dict[bytes, bytes]:
    """The values of the fields that may stand once only. Raises ParsingError for lines that are no fields."""
    found: dict[bytes, bytes] = {}
    for line in lines:
        match = FIELD.fullmatch(line)
        if match is None:
            raise ParsingError("A line of the head is no field.")
        name = match[1].lower()
        if name in found:
            raise ParsingError("A field stands twice that may stand once.")
        if name in SINGLE:
            found[name] = match[2].strip(b" \t")
    return found


def _check_target(target: bytes, host: bytes | None) -> None:
    match = TARGET.fullmatch(target)
    if match is None:
        raise ParsingError("The target of the request is no address of a server.")
    authority = match["authority"]
    if authority is not None and authority.lower() != (host or b"").lower():
        raise ParsingError("The target names another host than the Host field.")


def _check_framing(fields: dict[bytes, bytes], newer: bool) -> None:
    """Where the body ends: said in one way, and in words that everybody reads alike (sections 6.1 to 6.3)."""
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if length is not None and not LENGTH.fullmatch(length):
        raise ParsingError("Content-Length is no number.")
    if coding is None:
        return
    if length is not None or not newer:
        raise ParsingError("Transfer-Encoding stands beside Content-Length, or in HTTP/1.0.")
    if coding.lower() != b"chunked":
        words = [word.strip() for word in coding.lower().split(b",")]
        if words.count(b"chunked") > 1 or b"chunked" in words[:-1] or b"" in words:
            raise ParsingError("Transfer-Encoding is not well-formed.")
        raise Unreadable(ServerNotImplemented("Of the transfer codings only chunked is read."))
