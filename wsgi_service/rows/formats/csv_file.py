"""A CSV file in chunks, and answers in CSV one below the other."""

import csv
import io
import sys
from collections.abc import Collection, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, BinaryIO, TextIO

from wsgi_service.errors import MalformedBody
from wsgi_service.rows.chunks import DIFFER, Chunk, ChunksDiffer, Joined, text_of_file
from wsgi_service.rows.formats.csv_body import first_lines, is_heading
from wsgi_service.rows.formats.csv_numbers import TAB, delimiter_of


def split(file: BinaryIO, names: Collection[str], rows: int, delimiter: str = "") -> Iterator[Chunk]:
    """See `Split`.

    Args:
        file: of rows.
        names: of the version's columns.
        rows: in each chunk.
        delimiter: between fields; empty to be found out, and then chunks have commas.
    """
    text = text_of_file(file, newline="")
    try:
        found = delimiter or delimiter_of(*first_lines(text, sys.maxsize))
        text.seek(0)
        reader = csv.reader(text, delimiter=found, strict=True)
        yield from _chunks(text, reader, names, rows, delimiter or ",")
    except (csv.Error, UnicodeError) as error:
        raise MalformedBody(f"The CSV cannot be read: {error}.") from None
    finally:
        text.detach()


split_at_tabs = partial(split, delimiter=TAB)


def _chunks(text: TextIO, reader: Any, names: Collection[str], rows: int, delimiter: str) -> Iterator[Chunk]:
    numbered = _numbered(reader)
    begin = next(numbered, None)
    if begin is None:
        return
    heading = [begin[1]] if is_heading(begin[1], names) else []
    numbered = numbered if heading else chain([begin], numbered)
    first = 0
    while taken := list(islice(numbered, rows)):
        body = io.StringIO(newline="")
        csv.writer(body, delimiter=delimiter).writerows([*heading, *(row for _, row in taken)])
        yield Chunk(
            body=body.getvalue().encode(),
            first=first,
            done=text.buffer.tell(),
            line=taken[0][0],
            own_line=1 + len(heading),
        )
        first += len(taken)


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, and the line on which each begins."""
    begin = 1
    for row in reader:
        if row:
            yield begin, row
        begin = reader.line_num + 1


class JoinedTables(Joined):
    """Answers that are rows below a heading."""

    _delimiter = ","
    _heading = b""

    def _write(self, answer: bytes, first: bool) -> None:
        if first:
            self._heading = _first_row(answer.decode(), self._delimiter).encode()
        elif not answer.startswith(self._heading):
            raise ChunksDiffer(DIFFER)
        self._file.write(answer if first else answer[len(self._heading) :])


class JoinedAtTabs(JoinedTables):
    """The same with tabs between fields."""

    _delimiter = TAB


def _first_row(text: str, delimiter: str) -> str:
    """The heading as it was written; there may be line breaks in its names, in quotes."""
    lines = io.StringIO(text, newline="")
    next(csv.reader(lines, delimiter=delimiter))
    return text[: lines.tell()]
