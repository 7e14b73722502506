"""Files of rows in chunks, and the answers to chunks in one file: what the formats of files have in common."""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO

from msgspec import Struct

from wsgi_service.rows.formats.json_body import UTF16

DIFFER = (
    "The answers to two chunks have other columns, since no row of one of them is right. Give a larger --chunk."
)


class Chunk(Struct, frozen=True, kw_only=True):
    """Some rows of a file.

    Attributes:
        body: of a predict.
        first: which row of the file its first one is, counted from 0.
        line: of the file on which it begins, 0 where there are no lines; in the body that is `own_line`.
        done: bytes of the file that are read by now.
    """

    body: bytes
    first: int
    done: int
    line: int = 0
    own_line: int = 0


#: From a file, the names of the version's columns (to recognise the heading of a CSV) and a number of rows to
#: chunks of that size. Raises MalformedBody, and MissingExtra where a library is not there that reads it.
Split = Callable[[BinaryIO, Collection[str], int], Iterator[Chunk]]


class ChunksDiffer(Exception):
    """The answers to two chunks cannot stand in one table."""


class Joined(ABC):
    """Puts answers to chunks together.

    Args:
        file: that they go to.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begun = False

    def add(self, answer: bytes) -> None:
        """The answer to the next chunk. Raises ChunksDiffer."""
        self._write(answer, first=not self._begun)
        self._begun = True

    @property
    def empty(self) -> bool:
        """Whether there was no chunk at all."""
        return not self._begun

    @abstractmethod
    def _write(self, answer: bytes, first: bool) -> None: ...

    def finish(self) -> None:
        """There are no further chunks."""
        self._file.flush()


def text_of_file(file: BinaryIO, newline: str | None = None) -> io.TextIOWrapper:
    """The text of a file in UTF-8, with or without a byte order mark, or in UTF-16 with one."""
    begin = file.read(2)
    file.seek(0)
    return io.TextIOWrapper(file, "utf-16" if begin in UTF16 else "utf-8-sig", newline=newline)
