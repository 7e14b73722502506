"""Multipart uploads: small fields, and the artifact in the part named `file`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.wrappers import Request

from wsgi_service.inputs.errors import MalformedBody
from wsgi_service.problems import Problem
from wsgi_service.requests import BODY_LIMIT, CHUNK, too_large

MAX_FIELD_MEMORY = 256 * 1024
MAX_PARTS = 20
MISSING_FILE = 'The form has no part named "file". With curl: -F "file=@model.skops"'


@contextmanager
def read_form(request: Request, folder: Path) -> Iterator[tuple[MultiDict[str, str], Iterator[bytes]]]:
    """The fields of a multipart/form-data body (RFC 7578), and the pieces of its part `file`.

    Args:
        request: whose body is the form.
        folder: where large parts wait until they are read.

    Raises:
        Problem: there is no part `file`.
        MalformedBody: the body is not what its type says.
        RequestEntityTooLarge: longer than the route's limit.
    """
    limit = request.environ[BODY_LIMIT]
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    with ExitStack() as parts:
        form, files = _parse(request, lambda *_, **__: parts.enter_context(TemporaryFile(dir=folder)))
        if "file" not in files:
            raise Problem(422, "missing-file", MISSING_FILE)
        yield form, _pieces(files["file"].stream)


def _parse(
    request: Request, open_part: Callable[..., IO[bytes]]
) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
    boundary = request.mimetype_params.get("boundary", "").encode("latin-1")
    parser = MultiPartParser(
        stream_factory=open_part, max_form_memory_size=MAX_FIELD_MEMORY, max_form_parts=MAX_PARTS
    )
    try:
        return parser.parse(request.stream, boundary, request.content_length)
    except RequestEntityTooLarge:
        raise too_large(request.environ[BODY_LIMIT]) from None
    except ValueError:
        raise MalformedBody("The multipart body is damaged or cut off.") from None


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece
