"""Multipart uploads: small fields, and the artifact in the part named `file`."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple, cast

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.wrappers import Request

from model_store.artifacts.local import disk_error
from wsgi_service.errors import MalformedBody
from wsgi_service.http.digests import Verification
from wsgi_service.http.problems import Problem
from wsgi_service.http.requests import BODY_LIMIT, CHUNK, too_large

MAX_FIELD_MEMORY = 256 * 1024
MAX_PARTS = 20
MISSING_FILE = 'The form has no part named "file". With curl: -F "file=@model.skops"'


class Form(NamedTuple):
    """What a form holds."""

    fields: MultiDict[str, str]
    files: MultiDict[str, FileStorage]

    @property
    def size(self) -> int:
        """Bytes of the part `file`."""
        stream = self.files["file"].stream
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        return size

    def file(self) -> bytes:
        """The part `file` as a whole."""
        return self.files["file"].stream.read()

    def artifact(self) -> Iterator[bytes]:
        """The pieces of the part `file`."""
        return _pieces(self.files["file"].stream)

    def text(self, name: str, most: int) -> bytes | None:
        """A part that is a file or a field, as bytes; None if it is not there. Raises RequestEntityTooLarge."""
        if name in self.files:
            content = self.files[name].stream.read(most + 1)
        elif name in self.fields:
            content = self.fields[name].encode()
        else:
            return None
        if len(content) > most:
            raise too_large(most)
        return content


@contextmanager
def read_form(request: Request, folder: Path) -> Iterator[Form]:
    """The fields and files of a multipart/form-data body (RFC 7578).

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
        yield Form(form, files)


def _parse(
    request: Request, open_part: Callable[..., IO[bytes]]
) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
    boundary = request.mimetype_params.get("boundary", "").encode("latin-1")
    parser = MultiPartParser(
        stream_factory=open_part, max_form_memory_size=MAX_FIELD_MEMORY, max_form_parts=MAX_PARTS
    )
    stream = _Verified(request)
    try:
        parts = parser.parse(cast("IO[bytes]", stream), boundary, request.content_length)
    except RequestEntityTooLarge:
        raise RequestEntityTooLarge(
            f"A form has at most {MAX_PARTS} parts, and fields of at most {MAX_FIELD_MEMORY >> 10} KB. "
            "Send what is longer as a file."
        ) from None
    except OSError as error:
        raise disk_error(error) from error
    except ValueError:
        raise MalformedBody("The multipart body is damaged or cut off.") from None
    stream.finish()
    return parts


class _Verified:
    """A request's body that is compared with the digests that were claimed for it."""

    def __init__(self, request: Request) -> None:
        self._stream = request.stream
        self._verification = Verification(request.headers)

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self._verification.update(piece)
        return piece

    def finish(self) -> None:
        """Read what is behind the last boundary, and raise a 422 Problem if the digests do not hold."""
        while self.read(CHUNK):
            continue
        self._verification.finish()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece
