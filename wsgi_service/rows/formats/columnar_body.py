"""A body that is a table of named columns: a Parquet file, or an Arrow stream or file."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from typing import Any, overload

import numpy as np

from model_store.schema import Column, Schema
from wsgi_service.errors import InvalidRequest, InvalidRows, RowError
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.rows.cells import allowed_by
from wsgi_service.rows.checking import check_rows
from wsgi_service.rows.tables import Cells, Table
from wsgi_service.rows.unread import Read, Reading, Sent

PARQUET, ARROW = "Parquet", "Arrow"
#: Values of which Python's own are made at a time.
MADE_AT_ONCE = 10_000
#: Bytes of a number in a table of its own.
CELL = 8
#: Kinds of cells that go to a column of a type as they are, besides those of type `any`.
STRAIGHT = {"number": ("f8", "i8"), "integer": ("i8",), "boolean": ("bool",), "string": ("text",)}


class Passing(Sequence[Any]):
    """A column that passes through, whose values are made when asked for: most answers have no place for it.

    Args:
        cells: of the column.
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    @cached_property
    def _made(self) -> list[Any]:
        return _values(self._cells)

    def __len__(self) -> int:
        return len(self._cells.values)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._made[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._made)


def read_parquet(
    body: bytes, control: dict[str, Any], claim: Claim = UNCOUNTED, _keys: Collection[str] = ()
) -> Sent:
    """What a Parquet file sends; columns that the version does not have pass through."""
    return _sent(PARQUET, body, control, claim)


def read_arrow(
    body: bytes, control: dict[str, Any], claim: Claim = UNCOUNTED, _keys: Collection[str] = ()
) -> Sent:
    """What an Arrow stream sends, likewise."""
    return _sent(ARROW, body, control, claim)


def _sent(format_: str, body: bytes, control: dict[str, Any], claim: Claim) -> Sent:
    def read(schema: Schema, reading: Reading) -> Read:
        if reading.unpack is None:
            raise InvalidRequest(f"{format_} is not read here.")
        claim.end()  # it is decoded elsewhere
        names, table = reading.unpack(format_, body, reading.row_limit, claim)
        if not table.rows:
            raise InvalidRequest("The table has no rows.")
        columns = _named(schema, dict(zip(names, table.columns, strict=True)))
        found = _read(schema, columns, table.rows, reading.row_by_row, claim)
        known = frozenset(schema.column_names)
        found.passing = {name: Passing(cells) for name, cells in columns.items() if name not in known}
        return found

    return Sent(control, read, claim=claim)


def _named(schema: Schema, columns: dict[str, Cells]) -> Mapping[str, Cells]:
    """Columns by name; by position where the version has no names of its own and there are as many."""
    names = schema.column_names
    if schema.names_from == "position" and len(columns) == len(names) and not columns.keys() & set(names):
        return dict(zip(names, columns.values(), strict=True))
    missing = [column.name for column in schema.inputs if column.name not in columns and not column.optional]
    if missing:
        raise InvalidRows([RowError(0, name, "is missing in the table") for name in missing])
    return columns


def _read(schema: Schema, columns: Mapping[str, Cells], rows: int, row_by_row: bool, claim: Claim) -> Read:
    """The columns as they are if they fit; otherwise row by row, for which there are good messages."""
    fitting = [column.name in columns and _fits(column, columns[column.name]) for column in schema.inputs]
    if all(fitting):
        claim.grow(CELL * rows * len(schema.inputs))
        return Read(rows, _table([columns[name] for name in schema.column_names], schema, rows))
    claim.begin()
    return check_rows(schema, _rows(schema, columns, rows), row_by_row, claim=claim)


def _rows(schema: Schema, columns: Mapping[str, Cells], rows: int) -> Iterator[list[Any]]:
    """The columns as rows, a few of which are made at a time."""
    step = max(1, MADE_AT_ONCE // len(schema.inputs))
    for begin in range(0, rows, step):
        parts = [
            _values(_part(columns[name], begin, begin + step)) if name in columns else repeat(None)
            for name in schema.column_names
        ]
        for _, *row in zip(range(begin, min(begin + step, rows)), *parts, strict=False):
            yield row


def _part(cells: Cells, begin: int, end: int) -> Cells:
    return Cells(cells.kind, cells.values[begin:end], None if cells.valid is None else cells.valid[begin:end])


def _fits(column: Column, cells: Cells) -> bool:
    if column.type != "any" and cells.kind not in STRAIGHT.get(column.type, ()):
        return False
    if isinstance(cells.values, np.ndarray) and cells.kind == "f8" and not _finite(cells.values, column.nullable):
        return False
    if cells.valid is not None and not column.nullable:
        return False
    allowed = allowed_by(column)
    return cells.kind != "time" and (allowed is None or set(_values(cells)) - {None} <= allowed)


def _finite(values: Any, nullable: bool) -> bool:
    return bool((np.isfinite(values) | np.isnan(values) if nullable else np.isfinite(values)).all())


def _table(columns: list[Cells], schema: Schema, rows: int) -> Table:
    cells = [_as_wanted(column, given) for column, given in zip(schema.inputs, columns, strict=True)]
    if all(given.kind == "f8" for given in cells):
        return Table(rows, matrix=np.column_stack([given.values for given in cells]))
    return Table(rows, columns=cells)


def _as_wanted(column: Column, cells: Cells) -> Cells:
    """Numbers as floats, unless the column is one of whole numbers and none is missing."""
    if cells.kind != "i8" or (column.type == "integer" and cells.valid is None):
        return cells
    values = np.asarray(cells.values, dtype=np.float64)
    return Cells("f8", values if cells.valid is None else np.where(cells.valid, values, np.nan))


def _values(cells: Cells) -> list[Any]:
    """The values of a column as a request in JSON has them; None for what is missing."""
    if isinstance(cells.values, list):
        values: list[Any] = cells.values
    elif cells.kind == "time":
        return [None if moment is None else moment.isoformat() for moment in cells.values.tolist()]
    else:
        values = cells.values.tolist()
    if cells.kind == "f8":
        return [None if value != value else value for value in values]  # noqa: PLR0124 - NaN
    if cells.valid is None:
        return values
    return [value if there else None for value, there in zip(values, cells.valid.tolist(), strict=True)]
