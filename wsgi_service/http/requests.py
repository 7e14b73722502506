"""Reading requests: bodies within their limits, media types, forms, query parameters and who asks."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from model_store.entities import Attribution
from wsgi_service.at_once import QUICKLY_READ, elsewhere, must_not_wait
from wsgi_service.errors import InvalidRequest, MalformedBody, TooLargeDecoded
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.http.digests import Verification
from wsgi_service.http.problems import Problem

CHUNK = 1 << 16
JSON = "application/json"
NO_QUERY: "MultiDict[str, str]" = ImmutableMultiDict()
#: Where the middleware leaves the request's id, and dispatch who asked, in the WSGI environment.
REQUEST_ID = "wsgi_service.request_id"
BEGAN = "wsgi_service.began"
#: And what the map calls its address.
ROUTE = "wsgi_service.route"
ACTOR = "wsgi_service.actor"
BODY_LIMIT = "wsgi_service.body_limit"
#: What bodies may take together when they are decoded.
BUDGET = "wsgi_service.budget"
LONGEST_REASON = 500
#: The header of W3C Trace Context (https://www.w3.org/TR/trace-context/#traceparent-header).
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
#: Digits in the length of a body that is read at once; every route takes as much.
SMALL = 6
CLAIMS = {"HTTP_CONTENT_DIGEST", "HTTP_REPR_DIGEST"}
#: What Waitress's environments have, whose bodies are whole when the application is called. Elsewhere a body may
#: still be on its way, and a client that sends slowly must not have the turn meanwhile.
WHOLE = "waitress.client_disconnected"
#: Bytes of a body that is decoded without a turn.
TURNLESS = 1 << 16
#: Bytes of a form: one record, which may become nearly a hundred times as much while it is decoded.
LARGEST_FIELDS = 1 << 20
TOO_LARGE_FIELDS = (
    f"A form is one record, and has at most {LARGEST_FIELDS >> 20} MB. "
    "Send what is larger as JSON, or as a file in a multipart form."
)
#: Characters of a query string that anybody takes apart at any time, what one becomes at most meanwhile, and keys.
SHORT_QUERY, QUERY_RATIO, MOST_KEYS = 4096, 120, 10_000
TORN = "The body ended before its Content-Length."
UTF_CHARSETS = {"", "utf-8", "utf8", "utf-16", "utf-16le", "utf-16be"}

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def request_id(request: Request) -> str:
    """The id that the middleware gave the request."""
    return str(request.environ[REQUEST_ID])


def trace_of(traceparent: str) -> str:
    """The id of the trace that a request is part of; empty if it does not say so in the form that is agreed."""
    match = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return match[1] if match else ""


def attribution(request: Request, reason: str | None = None) -> Attribution:
    """Who made the request, for the events it causes."""
    return Attribution(request.environ.get(ACTOR, "anonymous"), request_id(request), reason)


def change_by(request: Request, reason: str | None = None) -> Attribution:
    """Who made a request that changes something, and why: from its body, or `?reason=`. Raises InvalidRequest."""
    why = request.args.get("reason") if reason is None else reason
    if why is not None and len(why) > LONGEST_REASON:
        raise InvalidRequest(f"The reason has more than {LONGEST_REASON} characters.")
    return attribution(request, why or None)


def consumes(*media_types: str) -> Callable[[Endpoint], Endpoint]:
    """Declare the media types that an endpoint reads; dispatch refuses others with 415."""

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.consumes = media_types  # type: ignore[attr-defined]
        return endpoint

    return declare


def query(request: Request) -> "MultiDict[str, str]":
    """The query string; most predicts have none, and to take one apart takes time."""
    return request.args if request.environ.get("QUERY_STRING") else NO_QUERY


def take_query_apart(request: Request) -> None:
    """Have a long query string taken apart within the budget. Raises a 414 Problem for too many keys, or Busy."""
    text = request.environ.get("QUERY_STRING", "")
    if len(text) <= SHORT_QUERY:
        return
    elsewhere(lasting=False)
    if text.count("&") >= MOST_KEYS:
        raise Problem(
            414, "too-many-keys", f"A query string has at most {MOST_KEYS} keys. Send the row in a body."
        )
    claim = claim_of(request)
    claim.begin()
    with claim.briefly(QUERY_RATIO * len(text)):
        request.args  # noqa: B018 - which remembers it


def media_type(request: Request) -> str:
    """The media type of the body, without its parameters and in lower case."""
    return JSON if request.environ.get("CONTENT_TYPE") == JSON else request.mimetype


def check_media_type(request: Request, accepted: tuple[str, ...]) -> None:
    """Raises a 415 Problem unless the body is of an accepted type, in a charset that can hold all of Unicode."""
    environ = request.environ
    if environ.get("CONTENT_TYPE") == JSON and JSON in accepted and "HTTP_CONTENT_ENCODING" not in environ:
        return  # what nearly all clients send
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "unsupported-content-encoding", "Compressed bodies are not read. Send it as it is.")
    charset = request.mimetype_params.get("charset", "").lower()
    if request.mimetype in accepted and charset in UTF_CHARSETS:
        return
    if request.mimetype in accepted:
        raise Problem(415, "unsupported-charset", "The body must be in UTF-8.")
    raise Problem(
        415,
        "unsupported-media-type",
        f"Send {' or '.join(accepted)}.{_media_hint(accepted)}",
    )


def _media_hint(accepted: tuple[str, ...]) -> str:
    if "application/json" not in accepted:
        return ""
    return ' With curl, add: -H "Content-Type: application/json"'


def chunks(request: Request) -> Iterator[bytes]:
    """The body in pieces.

    Raises:
        RequestEntityTooLarge: it is longer than the route's limit.
        MalformedBody: it is shorter than its Content-Length.
        Problem: it does not have the digest that was claimed for it.
    """
    limit, received = request.environ[BODY_LIMIT], 0
    verification = Verification(request.headers)
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    while chunk := request.stream.read(CHUNK):
        received += len(chunk)
        if received > limit:
            raise too_large(limit)
        verification.update(chunk)
        yield chunk
    if request.content_length is not None and received < request.content_length:
        raise MalformedBody(TORN)
    verification.finish()


def too_large(limit: int) -> RequestEntityTooLarge:
    """The error for a body that is longer than its route takes."""
    return RequestEntityTooLarge(f"The body is too large: at most {limit >> 20} MB are taken here.")


def read_body(request: Request) -> bytes:
    """The whole body; raises like `chunks`."""
    environ = request.environ
    length = _small_length(environ)
    if length is None or CLAIMS & environ.keys():
        held = _held(environ)
        return b"".join(chunks(request)) if held is None else bytes(held)
    body: bytes = environ["wsgi.input"].read(length)  # most bodies are small, and claim no digest
    if len(body) < length:
        raise MalformedBody(TORN)
    return body


def claim_for(request: Request, packed: bool = False) -> Claim:
    """What will take the memory that the body of a request becomes; a large one that is here has its turn.

    Args:
        request: that has the body.
        packed: whether it may become thousands of times as large, so that small ones count as well.
    """
    length = _length(request)
    if length <= QUICKLY_READ and not packed:
        return UNCOUNTED
    claim = claim_of(request)
    if WHOLE in request.environ:  # to read it takes the interpreter as well
        take_turn(claim, length)
    return claim


def claim_of(request: Request) -> Claim:
    """The same for a part of a body."""
    budget = request.environ.get(BUDGET)
    return UNCOUNTED if budget is None else Claim(budget)


def claimed_body(request: Request, claim: Claim) -> bytes:
    """The whole body, and its turn to be decoded; raises like `chunks`, `Claim.keep` and `take_turn`."""
    if claim is UNCOUNTED:
        return read_body(request)
    length = _length(request)
    claim.keep(length)
    with claim.briefly(length):  # for its pieces
        body = read_body(request)
    take_turn(claim, len(body))
    return body


def take_turn(claim: Claim, size: int) -> None:
    """Have a large body wait for its turn to be decoded, now that all of it is here. Raises Busy."""
    if size > TURNLESS and not must_not_wait():
        claim.begin()


def claimed_view(request: Request, claim: Claim) -> bytes | memoryview:
    """The same as it lies in memory, if it does."""
    held = _held(request.environ)
    if held is None:
        return claimed_body(request, claim)
    take_turn(claim, len(held))
    return held


def _length(request: Request) -> int:
    """Bytes of the body, or the most that it may have where that is not known."""
    if (small := _small_length(request.environ)) is not None:
        return small
    if request.content_length is None and has_body(request):
        return int(request.environ[BODY_LIMIT])
    return request.content_length or 0


def _small_length(environ: Mapping[str, Any]) -> int | None:
    """Bytes of a body that is read at once; None for any other."""
    text = environ.get("CONTENT_LENGTH", "")
    return int(text) if len(text) <= SMALL and text.isascii() and text.isdigit() else None


def read_fields(request: Request) -> bytes:
    """The body of an urlencoded form, which is one record. Raises TooLargeDecoded, and like `chunks`."""
    if _length(request) > LARGEST_FIELDS:
        raise TooLargeDecoded(TOO_LARGE_FIELDS)
    return read_body(request)


def _held(environ: Mapping[str, Any]) -> memoryview | None:
    """A body that is in memory already, and need not be looked at piece by piece."""
    whole: memoryview | None = getattr(environ["wsgi.input"], "whole", None)
    if whole is None or len(whole) > environ[BODY_LIMIT] or CLAIMS & environ.keys():
        return None
    return whole


def integer_parameter(request: Request, name: str, default: int, lowest: int, highest: int) -> int:
    """A whole number from the query string. Raises InvalidRequest."""
    text = request.args.get(name)
    if text is None:
        return default
    if re.fullmatch(r"[0-9]{1,12}", text) is None or not lowest <= int(text) <= highest:
        raise InvalidRequest(f"{name} must be a whole number from {lowest} to {highest}.")
    return int(text)


def flag_parameter(request: Request, name: str) -> bool:
    """Whether the query string asks for something: `?name=true`. Raises InvalidRequest."""
    texts = [text.lower() for text in request.args.getlist(name)] or ["false"]
    if len(texts) > 1 or texts[0] not in {"true", "false", "1", "0", ""}:
        raise InvalidRequest(f"{name} must be true or false, and stand once.")
    return texts[0] in {"true", "1", ""}


def has_body(request: Request) -> bool:
    """Whether anything was sent."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def names_parameter(values: list[str], name: str) -> tuple[str, ...] | None:
    """A list of names: given several times, or once as a JSON array, or once with commas. None if not given.

    Raises:
        InvalidRequest: a JSON array that is not one of texts.
    """
    if not values or values == [""]:
        return None
    if len(values) > 1:
        return tuple(values)
    text = values[0].strip()
    if not text.startswith("["):
        return tuple(part.strip() for part in text.split(","))
    try:
        return msgspec.json.decode(text.encode(), type=tuple[str, ...])
    except (msgspec.DecodeError, UnicodeError):
        raise InvalidRequest(f"{name} must be names with commas between them, or a JSON array of texts.") from None
