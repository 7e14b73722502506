"""Multipart uploads: small fields, and the artifact in the part named `file`."""

from collections.abc import Iterator
from typing import IO

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.wrappers import Request

from wsgi_service.inputs.errors import MalformedBody
from wsgi_service.problems import Problem
from wsgi_service.requests import BODY_LIMIT, CHUNK, too_large

MAX_FIELD_MEMORY = 256 * 1024
MAX_PARTS = 20


def read_form(request: Request) -> tuple[MultiDict[str, str], Iterator[bytes]]:
    """The fields of a multipart/form-data body (RFC 7578), and the pieces of its part `file`.

    Raises:
        Problem: there is no part `file`.
        MalformedBody: the body is not what its type says.
        RequestEntityTooLarge: longer than the route's limit.
    """
    limit = request.environ[BODY_LIMIT]
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    boundary = request.mimetype_params.get("boundary", "").encode("latin-1")
    parser = MultiPartParser(max_form_memory_size=MAX_FIELD_MEMORY, max_form_parts=MAX_PARTS)
    try:
        form, files = parser.parse(request.stream, boundary, request.content_length)
    except RequestEntityTooLarge:
        raise too_large(limit) from None
    except ValueError:
        raise MalformedBody("The multipart body is damaged or cut off.") from None
    if "file" not in files:
        raise Problem(
            422,
            "missing-file",
            'The form has no part named "file". With curl: -F "file=@model.skops"',
        )
    return form, _pieces(files["file"].stream)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece
