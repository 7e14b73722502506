"""An answer as a Parquet file or an Arrow stream: the same columns as in CSV, with their types."""

from collections.abc import Sequence
from typing import Any

from model_store.errors import MissingExtra
from wsgi_service.rows.answer import Answer
from wsgi_service.rows.columns import ERROR, columns_of
from wsgi_service.rows.formats.csv_body import text_of

MISSING = 'The server lacks pyarrow, which writes this. Its operator can add it: pip install "wsgi-service[arrow]"'


def write_parquet(answer: Answer, row_by_row: bool, _spreadsheet: bool = False) -> bytes:
    """The bytes of a Parquet file. Raises MissingExtra."""
    table = _table(answer, row_by_row)
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def write_arrow(answer: Answer, row_by_row: bool, _spreadsheet: bool = False) -> bytes:
    """The bytes of an Arrow stream. Raises MissingExtra."""
    table = _table(answer, row_by_row)
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _table(answer: Answer, row_by_row: bool) -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtra(MISSING, extra="arrow") from None
    columns = columns_of(answer, row_by_row)
    return pa.table({name: _array(pa, name, values) for name, values in columns.items()})


def _array(pa: Any, name: str, values: Sequence[Any]) -> Any:
    """A column; labels of several kinds, and numbers that are too large, become text."""
    if all(value is None for value in values):
        return pa.nulls(len(values), pa.string() if name == ERROR else pa.float64())
    try:
        return pa.array(list(values))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else text_of(value) for value in values])
