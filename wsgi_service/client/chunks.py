"""A file of rows in chunks, each of them a body that a predict takes."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from msgspec import Struct

from model_store.errors import MissingExtra
from wsgi_service.errors import InvalidRequest, MalformedBody
from wsgi_service.rows.bodies import ARROW, CSV, JSON, NDJSON
from wsgi_service.rows.formats.csv_body import first_lines, is_heading
from wsgi_service.rows.formats.csv_numbers import delimiter_of
from wsgi_service.rows.formats.json_body import FORMS, UTF16, rows_in

ROWS = 10_000
MISSING = 'Parquet and Arrow files need pyarrow: pip install "wsgi-service[arrow]"'


class Chunk(Struct, frozen=True, kw_only=True):
    """Some rows of a file.

    Attributes:
        body: of a predict.
        media_type: of the body.
        first: which row of the file its first one is, counted from 0.
        line: of the file on which it begins, 0 where there are no lines; in the body that is `own_line`.
        done: bytes of the file that are read by now.
    """

    body: bytes
    media_type: str
    first: int
    done: int
    line: int = 0
    own_line: int = 0


def chunks_of(path: Path, names: Collection[str], rows: int = ROWS) -> Iterator[Chunk]:
    """The rows of a file, as it is named: .csv, .tsv, .ndjson, .jsonl, .json, .parquet, .arrow or .feather.

    Args:
        path: of the file.
        names: of the version's columns, by which the heading of a CSV is known.
        rows: in each chunk.

    Raises:
        MalformedBody: the file cannot be read.
        MissingExtra: of a Parquet or Arrow file, if pyarrow is not there.
    """
    with path.open("rb") as file:
        yield from READERS.get(path.suffix.lower(), _csv)(file, names, rows)


def _csv(file: BinaryIO, names: Collection[str], rows: int) -> Iterator[Chunk]:
    text = io.TextIOWrapper(file, _encoding(file), newline="")
    try:
        delimiter = delimiter_of(*first_lines(text, sys.maxsize))
        text.seek(0)
        yield from _csv_chunks(text, csv.reader(text, delimiter=delimiter, strict=True), names, rows)
    except (csv.Error, UnicodeError) as error:
        raise MalformedBody(f"The CSV cannot be read: {error}.") from None
    finally:
        text.detach()


def _csv_chunks(text: TextIO, reader: Any, names: Collection[str], rows: int) -> Iterator[Chunk]:
    numbered = _numbered(reader)
    begin = next(numbered, None)
    if begin is None:
        return
    heading = [begin[1]] if is_heading(begin[1], names) else []
    numbered = numbered if heading else chain([begin], numbered)
    first = 0
    while taken := list(islice(numbered, rows)):
        body = io.StringIO(newline="")
        csv.writer(body).writerows([*heading, *(row for _, row in taken)])
        yield Chunk(
            body=body.getvalue().encode(),
            media_type=CSV,
            first=first,
            done=_position(text),
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


def _encoding(file: BinaryIO) -> str:
    begin = file.read(2)
    file.seek(0)
    return "utf-16" if begin in UTF16 else "utf-8-sig"


def _position(text: TextIO) -> int:
    return text.buffer.tell()


def _lines(file: BinaryIO, _names: Collection[str], rows: int) -> Iterator[Chunk]:
    text = io.TextIOWrapper(file, _encoding(file))
    first = 0
    try:
        while taken := list(islice((line for line in text if line.strip()), rows)):
            yield Chunk(body="".join(taken).encode(), media_type=NDJSON, first=first, done=_position(text))
            first += len(taken)
    except UnicodeError as error:
        raise MalformedBody(f"The file is not text in UTF-8: {error}.") from None
    finally:
        text.detach()


def _json(file: BinaryIO, _names: Collection[str], rows: int) -> Iterator[Chunk]:
    """A list of rows, or an object that has one; it must be in memory as a whole."""
    try:
        content = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise MalformedBody(f"The file is not valid JSON: {error}.") from None
    if isinstance(content, dict):
        content = _rows_of_object(content)
    if not isinstance(content, list):
        raise MalformedBody("The file must hold a list of rows, or an object with one.")
    size, count = file.tell(), max(1, len(content))
    for first in range(0, len(content), rows):
        taken = content[first : first + rows]
        body = json.dumps({"instances": taken}).encode()
        yield Chunk(body=body, media_type=JSON, first=first, done=size * (first + len(taken)) // count)


def _rows_of_object(content: dict[str, Any]) -> Any:
    """The rows of an object in one of the forms of a predict; otherwise it is a record."""
    form = next((name for name in FORMS if name in content), None)
    if form is None:
        return [content]
    if len(content) > 1:
        raise MalformedBody(f'The file has keys beside "{form}". Say what else there is to say with options.')
    try:
        return rows_in(form, json.dumps(content[form]).encode())
    except InvalidRequest as error:
        raise MalformedBody(str(error)) from None


def _parquet(file: BinaryIO, _names: Collection[str], rows: int) -> Iterator[Chunk]:
    pa = _library()
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(file)
        yield from _batches(file, opened.iter_batches(batch_size=rows), opened.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise MalformedBody(f"The Parquet file cannot be read: {error}.") from None


def _arrow(file: BinaryIO, _names: Collection[str], rows: int) -> Iterator[Chunk]:
    pa = _library()
    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    try:
        table = pa.ipc.open_file(file).read_all() if is_file else pa.ipc.open_stream(file).read_all()
        yield from _batches(file, table.to_batches(max_chunksize=rows), table.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise MalformedBody(f"The Arrow file cannot be read: {error}.") from None


def _batches(file: BinaryIO, batches: Any, count: int) -> Iterator[Chunk]:
    pa = _library()
    size, first = os.fstat(file.fileno()).st_size, 0
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        done = size * (first + batch.num_rows) // max(1, count)
        yield Chunk(body=sink.getvalue().to_pybytes(), media_type=ARROW, first=first, done=done)
        first += batch.num_rows


def _library() -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtra(MISSING, extra="arrow") from None
    return pa


READERS: dict[str, Callable[[BinaryIO, Collection[str], int], Iterator[Chunk]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".ndjson": _lines,
    ".jsonl": _lines,
    ".json": _json,
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".arrows": _arrow,
    ".feather": _arrow,
}
