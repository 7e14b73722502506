"""Answers: JSON with its charset and its validator, created resources with their address, and nothing at all."""

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
from werkzeug.wrappers import Response

from model_store.failpoints import reach

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

JSON = "application/json; charset=utf-8"
#: On every answer: browsers take it for what its Content-Type says (https://fetch.spec.whatwg.org/#x-content-type-options-header).
NOSNIFF = ("X-Content-Type-Options", "nosniff")
_encoder = msgspec.json.Encoder()


def json_bytes(value: Any) -> bytes:
    """JSON (RFC 8259) in UTF-8; there are no NaN and Infinity tokens in it."""
    return _encoder.encode(value)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON. The charset is said because Windows PowerShell 5.1 reads Latin-1 otherwise."""
    return Response(json_bytes(value), status, headers, content_type=JSON)


def entity_tag(representation: Any) -> str:
    """The strong validator of what is answered in JSON: a hash of its bytes."""
    return hashlib.sha256(json_bytes(representation)).hexdigest()[:32]


def changed(value: Any, shown: Any, location: str | None = None) -> Response:
    """What came of a change: 201 with the address of what was made, or 200.

    Args:
        value: the answer.
        shown: what GET answers from now on, whose ETag goes with the answer.
        location: of what was made.
    """
    reach("before_reply")
    response = json_response(value, 201 if location else 200, {"Location": location} if location else None)
    response.set_etag(entity_tag(shown))
    return response


class Rendered:
    """An answer whose bytes and headers are known, as a WSGI application.

    Werkzeug's Response can do more, which costs as much time as all the rest of a small predict.

    Args:
        content: its body, never empty.
        content_type: with its charset.
        headers: further ones.
        status: the line of it.
    """

    def __init__(self, content: bytes, content_type: str, headers: dict[str, str], status: str = "200 OK") -> None:
        self.content = content
        self.headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(content))),
            *headers.items(),
        ]
        self.status = status

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        """The WSGI interface (PEP 3333)."""
        start_response(self.status, self.headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self.content]


def bytes_response(content: bytes, media_type: str, headers: dict[str, str]) -> Rendered:
    """An answer in a format of its own; text is in UTF-8."""
    charset = "; charset=utf-8" if media_type.startswith("text/") or media_type == "application/json" else ""
    return Rendered(content, media_type + charset, headers)


def no_content() -> Response:
    """204, without the Content-Type that a response otherwise has."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response
