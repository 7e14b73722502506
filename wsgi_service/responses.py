"""Answers: JSON with its charset, created resources with their address, and nothing at all."""

from typing import Any

import msgspec
from werkzeug.wrappers import Response

JSON = "application/json; charset=utf-8"
_encoder = msgspec.json.Encoder()


def json_bytes(value: Any) -> bytes:
    """JSON (RFC 8259) in UTF-8; there are no NaN and Infinity tokens in it."""
    return _encoder.encode(value)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON. The charset is said because Windows PowerShell 5.1 reads Latin-1 otherwise."""
    return Response(json_bytes(value), status, headers, content_type=JSON)


def created(value: Any, location: str, new: bool = True) -> Response:
    """201 with the address of what was made, or 200 if it was there already."""
    return json_response(value, 201 if new else 200, {"Location": location} if new else None)


def no_content() -> Response:
    """204, without the Content-Type that a response otherwise has."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response
