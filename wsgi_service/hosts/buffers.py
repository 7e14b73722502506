"""Tables and results as the buffers of a frame, and back."""

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from wsgi_service.errors import ResultTooLarge
from wsgi_service.hosts import frames
from wsgi_service.hosts.frames import Buffer
from wsgi_service.rows.tables import NUMPY, Cells, Table, check_shape

#: Characters in one answer; a label can be a book.
MAX_TEXT = 64 << 20
EIGHT = 8
PLAIN = (str, int, float, bool, type(None))
#: What an entry of a result is not.
NESTED = (complex, list, tuple, dict, set, frozenset, np.ndarray)
Plain = str | int | float | bool | None


def encode_table(table: Table) -> tuple[frames.Table, list[Buffer]]:
    """A table as a header and buffers."""
    if table.matrix is not None:
        matrix = np.ascontiguousarray(table.matrix)
        return frames.Table(rows=table.rows, width=matrix.shape[1]), [matrix.data.cast("B")]
    header = tuple(frames.Column(cells.kind, cells.valid is not None) for cells in table.columns)
    buffers = [buffer for cells in table.columns for buffer in _encode_cells(cells)]
    return frames.Table(rows=table.rows, columns=header), buffers


def decode_table(header: frames.Table, buffers: Sequence[bytearray]) -> Table:
    """The table of a frame. Raises ValueError or StopIteration if header and buffers disagree."""
    if header.width:
        matrix = np.frombuffer(buffers[0], dtype=np.float64).reshape(header.rows, header.width)
        return Table(header.rows, matrix=matrix)
    waiting = iter(buffers)
    return Table(
        header.rows,
        columns=[_decode_cells(column, header.rows, waiting) for column in header.columns],
    )


def encode_results(results: Sequence[Any], rows: int) -> tuple[tuple[frames.Outcome, ...], list[Buffer]]:
    """The results of several methods for so many rows, as headers and buffers. Raises like `encode_result`."""
    encoded = [encode_result(result, rows) for result in results]
    return tuple(outcome for outcome, _ in encoded), [buffer for _, buffers in encoded for buffer in buffers]


def encode_result(result: Any, rows: int | None = None) -> tuple[frames.Outcome, list[Buffer]]:
    """Whatever a method of an estimator returns, as a header and buffers.

    Args:
        result: an array, a list of arrays (one for each output), or a sparse matrix.
        rows: how many entries it must have.

    Raises:
        ResultTooLarge: the answer would hold more than is sent at once.
        ValueError: it is not one entry for each row.
    """
    parts = result if isinstance(result, list) else [result]
    arrays = [part.tocsr() if hasattr(part, "tocsr") else np.asarray(part) for part in parts]
    check_shape(arrays, rows)
    if isinstance(result, list):
        plain = [_little_endian(_as_numbers(array)) for array in arrays]
        return frames.Several(tuple(_array_header(a) for a in plain)), [a.tobytes() for a in plain]
    if hasattr(result, "tocsr"):
        return _encode_sparse(arrays[0])
    return _encode_array(arrays[0])


def _encode_array(array: NDArray[Any]) -> tuple[frames.Outcome, list[Buffer]]:
    if array.dtype.kind in "biuf":
        array = _little_endian(_as_numbers(array))
        return _array_header(array), [array.tobytes()]
    if array.dtype.kind in "cV":
        raise ValueError("the result is not made of numbers or texts")
    values = array.ravel().tolist()
    if any(isinstance(value, NESTED) for value in values):
        raise ValueError("the result has entries that are no single values")
    if array.dtype.kind == "U" or all(isinstance(value, str) for value in values):
        _check_text(sum(len(value) for value in values))
        return frames.Text(array.shape), _encode_text(values)
    plain = [value if isinstance(value, PLAIN) else str(value) for value in values]
    _check_text(sum(len(value) for value in plain if isinstance(value, str)))
    return frames.Values(array.shape), [msgspec.msgpack.encode(plain, enc_hook=str)]


def _check_text(characters: int) -> None:
    if characters > MAX_TEXT:
        raise ResultTooLarge(
            f"The answer would hold {characters} characters of text, and at most {MAX_TEXT} are sent at once. "
            "Send fewer rows."
        )


def _as_numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers that every machine reads: at most eight bytes each."""
    if array.dtype.kind not in "biuf":
        raise ValueError("the result is not made of numbers")
    return array.astype(np.float64) if array.dtype.kind == "f" and array.dtype.itemsize > EIGHT else array


def decode_results(outcomes: Sequence[frames.Outcome], buffers: Sequence[bytearray]) -> list[Any]:
    """The results of a frame, each as `decode_result` gives it."""
    waiting = iter(buffers)
    return [decode_result(outcome, list(islice(waiting, _buffers_of(outcome)))) for outcome in outcomes]


def _buffers_of(outcome: frames.Outcome) -> int:
    """How many buffers belong to a result."""
    match outcome:
        case frames.Several():
            return len(outcome.parts)
        case frames.Text():
            return 2
        case frames.Sparse():
            return 3
    return 1


def decode_result(outcome: frames.Outcome, buffers: Sequence[bytearray]) -> Any:
    """The result of a frame: an array, a list of arrays, or nested lists of text and other values."""
    match outcome:
        case frames.Array():
            return _decode_array(outcome, buffers[0])
        case frames.Several():
            return [_decode_array(part, data) for part, data in zip(outcome.parts, buffers, strict=True)]
        case frames.Text():
            return _shaped(_decode_text(buffers[0], buffers[1]), outcome.shape)
        case frames.Sparse():
            return _dense(outcome.shape, buffers)
        case frames.Values():
            return _shaped(msgspec.msgpack.decode(buffers[0], type=list[Plain]), outcome.shape)


def _encode_cells(cells: Cells) -> Iterator[Buffer]:
    if isinstance(cells.values, list):
        yield from _encode_text(cells.values)
    else:
        yield cells.values.tobytes()
    if cells.valid is not None:
        yield np.packbits(cells.valid).tobytes()


def _decode_cells(column: frames.Column, rows: int, buffers: Iterator[bytearray]) -> Cells:
    values: NDArray[Any] | list[str]
    if column.kind == "text":
        values = _decode_text(next(buffers), next(buffers))
    else:
        values = np.frombuffer(next(buffers), dtype=NUMPY[column.kind])
    if len(values) != rows:
        raise ValueError("a column does not have the number of rows that its table has")
    if not column.nullable:
        return Cells(column.kind, values)
    bits = np.unpackbits(np.frombuffer(next(buffers), dtype=np.uint8), count=rows)
    return Cells(column.kind, values, bits.astype(np.bool_))


def _encode_text(values: list[str]) -> list[Buffer]:
    text = "".join(values)
    sizes = (
        map(len, values) if text.isascii() else (len(value.encode("utf-8", "surrogatepass")) for value in values)
    )
    offsets = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(sizes, np.int64, len(values)), out=offsets[1:])
    return [offsets.tobytes(), text.encode("utf-8", "surrogatepass")]


def _decode_text(offsets: bytearray, data: bytearray) -> list[str]:
    ends = np.frombuffer(offsets, dtype=np.int64).tolist()
    raw = bytes(data)
    return [raw[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(ends)]


def _array_header(array: NDArray[Any]) -> frames.Array:
    return frames.Array(array.dtype.str, array.shape)


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _decode_array(header: frames.Array, data: bytearray) -> NDArray[Any]:
    return np.frombuffer(data, dtype=np.dtype(header.dtype)).reshape(header.shape)


def _shaped(values: list[Any], shape: tuple[int, ...]) -> Any:
    return values if len(shape) == 1 else np.array(values, dtype=object).reshape(shape).tolist()


def _encode_sparse(matrix: Any) -> tuple[frames.Outcome, list[Buffer]]:
    if len(matrix.shape) != 2:  # noqa: PLR2004
        raise ValueError("the result is a sparse list, and not rows and columns")
    parts = ((matrix.data, np.float64), (matrix.indices, np.int64), (matrix.indptr, np.int64))
    buffers: list[Buffer] = [np.asarray(part).astype(dtype).tobytes() for part, dtype in parts]
    return frames.Sparse(matrix.shape), buffers


def _dense(shape: tuple[int, int], buffers: Sequence[bytearray]) -> NDArray[np.float64]:
    data = np.frombuffer(buffers[0], dtype=np.float64)
    columns, starts = (np.frombuffer(buffer, dtype=np.int64) for buffer in buffers[1:3])
    dense = np.zeros(shape)
    dense[np.repeat(np.arange(shape[0]), np.diff(starts)), columns] = data
    return dense
