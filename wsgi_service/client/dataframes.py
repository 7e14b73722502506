"""Data frames of any library, read without importing a library that is not there."""

from collections.abc import Iterable
from typing import Any, NamedTuple

#: What a type has that hands its columns to others: as Arrow does, or by the dataframe interchange protocol.
ARROW = ("__arrow_c_stream__", "__arrow_c_array__")
INTERCHANGE = "__dataframe__"
#: How frames that are computed later become frames.
NOW = ("collect", "compute", "to_pandas", "toPandas", "to_polars", "to_arrow")
PYARROW = " With pyarrow installed it can be read as it is."


class Frame(NamedTuple):
    """A table: the names of its columns, and its rows."""

    names: list[Any]
    rows: Iterable[tuple[Any, ...]]


def frame_of(given: Any) -> Frame | None:
    """The frame that something is, whatever library it is of; None if it is none.

    Raises:
        ValueError: it is one that cannot be read here; the text says what would work.
    """
    kind = type(given)
    if hasattr(kind, "itertuples") and hasattr(kind, "columns"):  # pandas, and what is like it
        return Frame(list(given.columns), given.itertuples(index=False, name=None))
    if hasattr(kind, "iter_rows") and hasattr(kind, "columns"):  # polars
        return Frame(list(given.columns), given.iter_rows())
    if any(hasattr(kind, name) for name in ARROW):
        return _of_arrow(given)
    if hasattr(kind, INTERCHANGE):
        return _of_interchange(given)
    if hasattr(kind, "columns"):
        raise ValueError(_unreadable(given))
    return None


def _of_arrow(given: Any) -> Frame | None:
    """A frame that can be read as Arrow; None if it is a single column."""
    try:
        import pyarrow as pa
    except ImportError:
        raise ValueError(_unreadable(given, PYARROW)) from None
    try:
        table = pa.table(given) if hasattr(type(given), "__arrow_c_array__") else _streamed(pa, given)
    except (TypeError, ValueError):  # pyarrow's own errors are of these kinds
        return None
    return _of_table(table)


def _streamed(pa: Any, given: Any) -> Any:
    return pa.RecordBatchReader.from_stream(given).read_all()


def _of_table(table: Any) -> Frame:
    columns = [column.to_pylist() for column in table.itercolumns()]
    return Frame(table.column_names, zip(*columns, strict=True) if columns else [()] * table.num_rows)


def _of_interchange(given: Any) -> Frame:
    try:
        from pyarrow.interchange import from_dataframe
    except ImportError:
        raise ValueError(_unreadable(given, PYARROW)) from None
    return _of_table(from_dataframe(given))


def _unreadable(given: Any, more: str = "") -> str:
    kind = type(given)
    way = next((f"what its {name}() gives" for name in NOW if hasattr(kind, name)), "a list of records")
    return (
        f"A {kind.__name__} of {kind.__module__.partition('.')[0]} cannot be read here. "
        f"Give {way}, or a DataFrame of pandas, polars or pyarrow.{more}"
    )
