"""The short way for CSV that is nothing but numbers: a line is a list of JSON but for the brackets.

Whatever is anything else (quotes, texts, empty cells, numbers that JSON writes in another way, further columns)
takes the long way, which has messages and several times the time. Lines are read in pieces that fit into a
processor's cache, which is faster than all at once, and takes less memory.
"""

import codecs
import csv
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from model_store.schema import Schema
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.rows.checking import check_row_limit
from wsgi_service.rows.tables import Table

PIECE = 1 << 18
#: Copies of the body that are made at a time, bytes that a number takes in an array and its copy, bytes that one
#: of a piece becomes while it is read, and bytes that a number and its end have at least.
COPIES, IN_ARRAYS, PIECE_RATIO, SHORTEST = 2, 16, 24, 2
TAB = "\t"
DELIMITERS = f",;{TAB}"
#: Characters of a line that is split to see what splits it.
MOST_SPLIT = 1 << 16
MARKS = [mark.encode() for mark in DELIMITERS]
#: What there is none of where each line is a row of numbers.
NO_NUMBERS = (b'"', b"\n\n", b"\n\r\n")
COMMA, LINE_END = b",\n"
_numbers = msgspec.json.Decoder(list[float])


def delimiter_of(*lines: str) -> str:
    """What stands between fields: what splits the first lines alike, or else what is most often in the first."""
    return max(DELIMITERS, key=lambda mark: (_splits_alike(lines, mark), lines[0].count(mark)))


def _splits_alike(lines: Sequence[str], mark: str) -> bool:
    if max(map(len, lines)) > MOST_SPLIT:
        return False
    try:
        widths = {len(fields) for fields in csv.reader(lines, delimiter=mark)}
    except csv.Error:
        return False
    return len(widths) == 1 and widths != {1}


def numbers_of(
    body: bytes, schema: Schema, row_limit: int = sys.maxsize, claim: Claim = UNCOUNTED, delimiter: str = ""
) -> Table | None:
    """The table of a body with a heading of the version's columns, or none; None if it is not that plain.

    What stands between fields is found out if it is not said. The rows are counted before any of them is read.
    Raises TooManyRows, TooLargeDecoded or Busy.
    """
    if schema.text or any(column.type != "number" or column.closed for column in schema.inputs):
        return None
    body = body.removeprefix(codecs.BOM_UTF8)
    end = body.find(b"\n") + 1 or len(body)
    if max(body.count(mark, 0, end) for mark in MARKS) != len(schema.inputs) - 1:
        return None
    heading = body[:end].decode("utf-8", "replace").rstrip("\r\n")
    second = body[end : end + MOST_SPLIT + 1].partition(b"\n")[0].decode("utf-8", "replace")
    delimiter = delimiter or delimiter_of(heading, second)
    places = _places(heading.split(delimiter), schema)
    claim.grow(COPIES * len(body))
    lines = _with_commas(body if places is None else body[end:], delimiter)
    matrix = None if lines is None else _matrix(lines, len(schema.inputs), row_limit, claim)
    if matrix is None:
        return None
    return Table(len(matrix), matrix=matrix if places is None else np.ascontiguousarray(matrix[:, places]))


def _places(names: list[str], schema: Schema) -> list[int] | None:
    """Where each of the version's columns stands in a first line that names exactly these; otherwise None."""
    place_of = {name.strip(): place for place, name in enumerate(names)}
    if place_of.keys() != set(schema.column_names) or len(names) != len(place_of):
        return None
    return [place_of[name] for name in schema.column_names]


def _with_commas(lines: bytes, delimiter: str) -> bytes | None:
    """The lines with commas between their fields; None if there are commas that mean something else."""
    lines = lines.rstrip(b"\r\n")
    if delimiter == ",":
        return lines
    return None if b"," in lines else lines.replace(delimiter.encode(), b",")


def _matrix(lines: bytes, width: int, row_limit: int, claim: Claim) -> Any:
    """Rows x columns; None if there is anything but numbers, or a line with more or fewer of them."""
    rows = lines.count(b"\n") + 1
    if rows * width * SHORTEST > len(lines) + 1:
        return None
    if rows > row_limit:
        if any(mark in lines for mark in NO_NUMBERS):
            return None
        check_row_limit(rows, row_limit)
    claim.grow(IN_ARRAYS * rows * width + PIECE_RATIO * min(len(lines), PIECE))
    matrix = np.empty(rows * width)
    filled = 0
    for piece in _pieces(lines):
        try:
            values = _numbers.decode(b"[" + piece.replace(b"\n", b",") + b"]")
        except msgspec.MsgspecError:
            return None
        if not _has_lines_of(piece, width) or filled + len(values) > len(matrix):
            return None
        matrix[filled : filled + len(values)] = values
        filled += len(values)
    return matrix.reshape(-1, width) if filled == len(matrix) else None


def _pieces(lines: bytes) -> Iterator[bytes]:
    """Whole lines, without the end of the last one."""
    begin = 0
    while begin < len(lines):
        end = lines.find(b"\n", begin + PIECE)
        end = len(lines) if end < 0 else end
        yield lines[begin:end]
        begin = end + 1


def _has_lines_of(piece: bytes, width: int) -> bool:
    """Whether there are width - 1 commas on each line."""
    characters = np.frombuffer(piece + b"\n", dtype=np.uint8)
    marks = characters[(characters == COMMA) | (characters == LINE_END)]
    if len(marks) % width:
        return False
    lines = marks.reshape(-1, width)
    return bool((lines[:, -1] == LINE_END).all() and (lines[:, :-1] == COMMA).all())
