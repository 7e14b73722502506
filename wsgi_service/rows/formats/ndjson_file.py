"""An NDJSON file in chunks, and answers in NDJSON one below the other."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import BinaryIO

from wsgi_service.errors import MalformedBody
from wsgi_service.rows.chunks import Chunk, Joined, text_of_file


def split(file: BinaryIO, _names: Collection[str], rows: int) -> Iterator[Chunk]:
    """See `Split`."""
    text = text_of_file(file)
    first = 0
    try:
        while taken := list(islice((line for line in text if line.strip()), rows)):
            yield Chunk(body="".join(taken).encode(), first=first, done=file.tell())
            first += len(taken)
    except UnicodeError as error:
        raise MalformedBody(f"The file is not text in UTF-8: {error}.") from None
    finally:
        text.detach()


class JoinedLines(Joined):
    """Answers that are lines."""

    def _write(self, answer: bytes, first: bool) -> None:  # noqa: ARG002
        self._file.write(answer)
