"""A .npy body: one array of numbers, rows x columns (numpy's format, versions 1 and 2); never a pickled one."""

import io
import math
import tokenize
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.lib import format as npy

from model_store.schema import Schema
from wsgi_service.errors import InvalidRequest, MalformedBody
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.rows.checking import check_row_limit, check_rows
from wsgi_service.rows.formats.json_body import is_plain
from wsgi_service.rows.tables import Table
from wsgi_service.rows.unread import Read, Reading, Sent

MAGIC = b"\x93NUMPY"
#: Characters of a header; an honest one has less than 200.
LONGEST_HEADER = 10_000
#: Bytes in which one ends, with what stands before it.
BEFORE_NUMBERS = LONGEST_HEADER + 64
READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
EIGHT = 8
#: Numbers of which Python's own are made at a time.
MADE_AT_ONCE = 10_000
#: What numpy's reader of headers raises for one that is none: it takes them for Python.
NO_HEADER = (KeyError, ValueError, SyntaxError, TypeError, RecursionError, MemoryError, tokenize.TokenError)


def read_sent(
    body: bytes | memoryview, control: dict[str, Any], claim: Claim = UNCOUNTED, _keys: Collection[str] = ()
) -> Sent:
    """What a .npy body sends."""

    def read(schema: Schema, reading: Reading) -> Read:
        matrix = _read_matrix(body, reading.row_limit, claim)
        if matrix.shape[1] != len(schema.inputs):
            message = f"expected {len(schema.inputs)} columns, got {matrix.shape[1]}"
            raise InvalidRequest(f"The array has the wrong shape: {message}.")
        if is_plain(schema) and _is_finite(matrix):
            return Read(len(matrix), Table(len(matrix), matrix=matrix))
        return check_rows(schema, _rows(matrix), reading.row_by_row, claim=claim)

    return Sent(control, read, claim=claim)


def _read_matrix(body: bytes | memoryview, row_limit: int, claim: Claim) -> Any:
    """The array as float64, to be read only. Raises MalformedBody, InvalidRequest or TooManyRows."""
    file = io.BytesIO(body[:BEFORE_NUMBERS])
    try:
        shape, fortran, dtype = READERS[npy.read_magic(file)](file, max_header_size=LONGEST_HEADER)
    except NO_HEADER:
        raise MalformedBody("The body is not a .npy file of version 1 or 2.") from None
    if len(shape) != 2 or min(shape) < 1 or dtype.kind not in "fiub" or dtype.itemsize > EIGHT:  # noqa: PLR2004
        raise InvalidRequest("The array must be one of numbers with rows and columns, of at most 8 bytes each.")
    if math.prod(shape) * dtype.itemsize != len(body) - file.tell():
        raise MalformedBody("The array is not as long as its header says.")
    check_row_limit(shape[0], row_limit)
    values = np.frombuffer(body, dtype=dtype, offset=file.tell())
    if dtype != np.float64 or fortran:
        claim.grow(2 * EIGHT * values.size)  # numpy may make it in two steps
    return np.require(values.reshape(shape, order="F" if fortran else "C"), np.float64, ["C", "ALIGNED"])


def _is_finite(matrix: Any) -> bool:
    """Whether all numbers are finite; if their sum is, which is found quickly, they are."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(matrix.sum()) or np.isfinite(matrix).all())


def _rows(matrix: Any) -> Iterator[list[float | None]]:
    """Rows of Python numbers; what is not a number is missing. A few are made at a time."""
    step = max(1, MADE_AT_ONCE // matrix.shape[1])
    for begin in range(0, len(matrix), step):
        block = matrix[begin : begin + step]
        objects = block.astype(object)
        objects[np.isnan(block)] = None
        yield from objects.tolist()
