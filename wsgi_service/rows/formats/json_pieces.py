"""A long list in JSON, a piece of whole elements at a time: others go on in between, and a piece takes little.

Where a piece ends is guessed from what it looks like there, and proven by decoding it: what begins where an
element does and is valid JSON with brackets around it holds whole elements only.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw

from wsgi_service.errors import InvalidRequest, MalformedBody, TooLargeDecoded
from wsgi_service.http.budget import Claim
from wsgi_service.rows.checking import Misshapen

PIECE = 1 << 17
#: Places that are tried for the end of a piece, before all ends are looked for at once.
TRIES = 8
#: How an element begins -> how one ends before the next one.
ENDS = {b"[": b"],", b"{": b"},", b'"': b'",'}
#: Bytes that a byte of JSON becomes at most: `[],` is a list and its place in another.
RATIO = 50
#: Bytes for a text, of which one character may need four times the room of the others, while it is made.
TEXT_RATIO = 10
#: Bytes for an element, or a name and a value, that are not decoded yet.
UNREAD, NAMED = 80, 256
#: Names that an object may have where they are names of columns, and values of a row that are counted quickly.
MOST_NAMES, WIDE = 100_000, 10_000
NAME = re.compile(rb'"[ \t\r\n]*:')
TOO_MANY_NAMES = f"The body has more than {MOST_NAMES} names in one object. Columns have one name each."
COMMA = b","
Decode = Callable[[Any], Any]

anything = msgspec.json.Decoder()
_elements = msgspec.json.Decoder(list[Raw])
_members = msgspec.json.Decoder(dict[str, Raw])


def lists(raw: Raw | memoryview, claim: Claim, decode: Decode, decode_large: Decode) -> Iterator[list[Any]]:
    """The elements of a list, in lists.

    Args:
        raw: valid JSON, beginning with a bracket.
        claim: takes what is decoded, until the next list is asked for.
        decode: a list with whole elements; raises DecodeError.
        decode_large: one element that is larger than a piece.
    """
    view = memoryview(raw)
    begin, end = 1, len(view) - 1
    while begin < end:
        for stop in _ends(view, begin, end):
            piece = b"[%b]" % bytes(view[begin:stop])
            with claim.briefly((RATIO + 1) * len(piece)):
                try:
                    found = decode(piece)
                except msgspec.ValidationError:
                    raise
                except msgspec.DecodeError:
                    continue
                yield found
            begin = stop + 1
            break
        else:
            yield from _one_by_one(view[begin:end], claim, decode, decode_large)
            return


def _ends(view: memoryview, begin: int, end: int) -> Iterator[int]:
    """Where a piece that begins here may end, the farthest place first."""
    if end - begin <= PIECE:
        yield end
        return
    window = bytes(view[begin : begin + PIECE])
    mark = ENDS.get(window.lstrip()[:1], COMMA)
    place = len(window)
    for _ in range(TRIES):
        place = window.rfind(mark, 0, place)
        if place < 0:
            return
        yield begin + place + len(mark) - 1


def _one_by_one(view: memoryview, claim: Claim, decode: Decode, decode_large: Decode) -> Iterator[list[Any]]:
    """The same where ends are hard to find: all elements are told apart, and then decoded."""
    rest = b"[%b]" % bytes(view)
    with claim.briefly(len(rest) + UNREAD * (rest.count(COMMA) + 1)):
        for raw in _elements.decode(rest):
            size = len(memoryview(raw))
            if size <= PIECE:
                with claim.briefly(RATIO * size):
                    yield decode(b"[%b]" % bytes(raw))
                continue
            before = claim.count
            row = decode_large(raw)
            taken = claim.count - before
            yield [row]
            claim.settle(claim.count - taken)


def decode_any(piece: Any) -> Any:
    """Any JSON. Raises DecodeError, or MalformedBody for what is not in UTF-8 or nested too deeply."""
    try:
        return anything.decode(piece)
    except UnicodeDecodeError:
        raise MalformedBody("The body is not in UTF-8.") from None
    except RecursionError:
        raise MalformedBody("The body is nested too deeply.") from None


def large_row(width: int, claim: Claim) -> Decode:
    """Decodes a large row: what is in lists and objects in it, which no column takes, is not looked at.

    Args:
        width: columns of the version.
        claim: takes what is decoded.
    """

    def decode(raw: Raw) -> Any:
        view = memoryview(raw)
        if bytes(view[:1]) == b"[":
            values = _values(raw, width, claim)
            return values if isinstance(values, Misshapen) else [scalar(value, claim) for value in values]
        if bytes(view[:1]) == b"{":
            return {name: scalar(value, claim) for name, value in members(raw, claim).items()}
        return scalar(raw, claim)

    return decode


def _values(raw: Raw, width: int, claim: Claim) -> Any:
    """The values of a row, undecoded; nothing is made of one that is longer than the table is wide."""
    commas = bytes(raw).count(COMMA)
    if commas >= width and width <= WIDE:
        try:
            return _exactly(width).decode(raw)
        except msgspec.ValidationError:
            return Misshapen(f"expected {width} columns, got another number of them")
    claim.grow(UNREAD * commas)
    return _elements.decode(raw)


@lru_cache(maxsize=16)
def _exactly(width: int) -> Any:
    """A decoder of lists of so many elements, which stops at one too many."""
    return msgspec.json.Decoder(tuple[(Raw,) * width])  # type: ignore[misc]


def scalar(raw: Raw, claim: Claim) -> Any:
    """A text, a number, a truth value or null; of lists and objects only that they are such."""
    view = memoryview(raw)
    if bytes(view[:1]) in {b"[", b"{"}:
        return [] if bytes(view[:1]) == b"[" else {}
    claim.grow(TEXT_RATIO * len(view) if len(view) > PIECE else 2 * len(view))
    return decode_value(raw)


def decode_value(raw: Raw) -> Any:
    """One value, read. Raises MalformedBody or InvalidRequest."""
    try:
        return decode_any(raw)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The body has a number that is out of range ({error}).") from None
    except msgspec.DecodeError as error:
        raise MalformedBody(f"The body is not valid JSON ({error}).") from None


def members(raw: Any, claim: Claim) -> dict[str, Raw]:
    """The members of an object, undecoded. Raises TooLargeDecoded if they are too many, and DecodeError."""
    claim.grow(NAMED * count_names(raw))
    try:
        return _members.decode(raw)
    except UnicodeDecodeError:
        raise MalformedBody("The body is not in UTF-8.") from None


def count_names(raw: Any) -> int:
    """How many names there are in an object at the most. Raises TooLargeDecoded."""
    names = sum(1 for _ in islice(NAME.finditer(raw), MOST_NAMES + 1))
    if names > MOST_NAMES:
        raise TooLargeDecoded(TOO_MANY_NAMES)
    return names
