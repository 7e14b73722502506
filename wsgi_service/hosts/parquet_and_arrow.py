"""In a host: Parquet files and Arrow streams become columns. What reads them is large, and they may lie.

Parquet: https://parquet.apache.org/docs/file-format/; Arrow: https://arrow.apache.org/docs/format/Columnar.html
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import numpy as np

from model_store.errors import MissingExtra
from wsgi_service.errors import InvalidRequest, MalformedBody, TooManyRows
from wsgi_service.rows.tables import NUMBER, NUMPY, TAKEN_APART, TEXT, Cells, Table

try:
    import pyarrow as pa
    from pyarrow import ipc, parquet
except ImportError:
    pa = None

MISSING = 'The server lacks pyarrow, which reads this. Its operator can add it: pip install "wsgi-service[arrow]"'
MOST_COLUMNS = 100_000
UNREAD = "The column '{}' is of a type that is not read. Send numbers, text, booleans or dates."
OUT_OF_TIME = "A date lies outside of the years 1 to 9999."
EARLIEST, LATEST = (int(np.datetime64(moment, "us").astype(np.int64)) for moment in (datetime.min, datetime.max))


def read(format_: str, body: bytes, row_limit: int) -> tuple[tuple[str, ...], Table]:
    """The names and the columns of a file.

    Args:
        format_: a key of OPENERS.
        body: its bytes.
        row_limit: most rows.

    Raises:
        MissingExtra: pyarrow is not installed.
        MalformedBody, InvalidRequest, TooManyRows.
    """
    if pa is None:
        raise MissingExtra(MISSING, extra="arrow")
    try:
        table = OPENERS[format_](pa.py_buffer(body), row_limit)
        table.validate(full=True)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError):
        raise MalformedBody(f"The body is not a whole {format_} file or stream.") from None
    if len(set(table.column_names)) < table.num_columns:
        raise InvalidRequest("Two columns of the table have the same name.")
    if _size(table) > TAKEN_APART:
        raise InvalidRequest("The table is too large when it is taken apart. Send parts of it.")
    cells = [_cells(name, table.column(name)) for name in table.column_names]
    return tuple(table.column_names), Table(table.num_rows, columns=cells)


def _size(table: Any) -> int:
    """Bytes that a table will take in the process that answers, further columns included."""
    texts = sum(not _is_small(type_) for type_ in table.schema.types)
    values = NUMBER * (table.num_columns - texts) + TEXT * texts
    return int(table.num_rows * values + table.nbytes)


def _is_small(type_: Any) -> bool:
    """Whether values of this type become numbers."""
    is_one = (pa.types.is_primitive, pa.types.is_decimal, pa.types.is_null)
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return any(test(type_) for test in is_one)


def _parquet(buffer: Any, row_limit: int) -> Any:
    with parquet.ParquetFile(pa.BufferReader(buffer)) as file:
        _check_size(file.metadata.num_rows, file.metadata.num_columns, row_limit)
        return _gather(file.schema_arrow, file.iter_batches(use_threads=False), row_limit)


def _arrow(buffer: Any, row_limit: int) -> Any:
    """A stream, or the same in a file."""
    is_file = buffer.to_pybytes()[:6] == b"ARROW1"
    if not is_file:
        with ipc.open_stream(buffer) as stream:
            _check_size(0, len(stream.schema), row_limit)
            return _gather(stream.schema, iter(stream), row_limit)
    with ipc.open_file(buffer) as file:
        _check_size(0, len(file.schema), row_limit)
        return _gather(file.schema, map(file.get_batch, range(file.num_record_batches)), row_limit)


OPENERS: dict[str, Callable[[Any, int], Any]] = {"Parquet": _parquet, "Arrow": _arrow}


def _gather(schema: Any, batches: Iterator[Any], row_limit: int) -> Any:
    """A table of the batches, which end when there are more rows than may be."""
    taken, rows = [], 0
    for batch in batches:
        rows += batch.num_rows
        _check_size(rows, batch.num_columns, row_limit)
        taken.append(batch)
    return pa.Table.from_batches(taken, schema)


def _check_size(rows: int, columns: int, row_limit: int) -> None:
    if rows > row_limit:
        raise TooManyRows(
            f"The request has more than the {row_limit} rows that are taken in one. Send it in parts."
        )
    if columns > MOST_COLUMNS:
        raise InvalidRequest(f"The table has more than {MOST_COLUMNS} columns.")


def _cells(name: str, column: Any) -> Cells:
    """A column as one of our kinds. Raises InvalidRequest for lists, structures and bytes."""
    try:
        return _known_cells(name, column)
    except pa.ArrowNotImplementedError:
        raise InvalidRequest(UNREAD.format(name)) from None


def _known_cells(name: str, column: Any) -> Cells:
    column = _plain(column)
    type_ = column.type
    if pa.types.is_boolean(type_):
        return _packed("bool", column.cast(pa.uint8()), np.bool_)
    if pa.types.is_integer(type_):
        return _integers(column)
    if pa.types.is_decimal(type_):
        return _decimals(column)
    if pa.types.is_floating(type_) or pa.types.is_null(type_):
        return Cells("f8", _numpy(column.cast(pa.float64()).fill_null(float("nan")), np.float64))
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return Cells("time", _times(column))
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        valid = None if column.null_count == 0 else np.asarray(column.is_valid())
        return Cells("text", column.fill_null("").to_pylist(), valid)
    raise InvalidRequest(UNREAD.format(name))


def _plain(column: Any) -> Any:
    """The same values without a dictionary or views, which not all of Arrow's own functions take."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column


def _integers(column: Any) -> Cells:
    """Whole numbers; floats where there are larger ones than 64 bits with a sign hold."""
    try:
        return _packed("i8", column.cast(pa.int64()), np.int64)
    except pa.ArrowInvalid:
        return Cells("f8", _numpy(column.cast(pa.float64(), safe=False).fill_null(float("nan")), np.float64))


def _decimals(column: Any) -> Cells:
    """The nearest floats, which Arrow's own cast does not always give."""
    values = (None if value is None else float(value) for value in column.to_pylist())
    return Cells("f8", np.array(list(values), dtype=np.float64))


def _packed(kind: Any, column: Any, dtype: Any) -> Cells:
    valid = None if column.null_count == 0 else np.asarray(column.is_valid())
    return Cells(kind, _numpy(column.fill_null(0), dtype), valid)


def _times(column: Any) -> Any:
    """Microseconds without a time zone: Arrow keeps times with a zone in UTC. Raises InvalidRequest."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us"), safe=False)  # finer ones are cut off
    try:
        integers = column.cast(pa.timestamp("us")).cast(pa.int64())
    except pa.ArrowInvalid:
        raise InvalidRequest(OUT_OF_TIME) from None
    found = _numpy(integers.drop_null(), np.int64)
    if len(found) and not (found.min() >= EARLIEST and found.max() <= LATEST):
        raise InvalidRequest(OUT_OF_TIME)
    return _numpy(integers.fill_null(np.iinfo(np.int64).min), np.int64).view(NUMPY["time"])  # "not a time"


def _numpy(column: Any, dtype: Any) -> Any:
    return column.to_numpy().astype(dtype, copy=False)
