"""Rows, by position or by name, become a checked table of the version's columns."""

import difflib
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from msgspec import Struct

from model_store.schema import Column, Schema
from wsgi_service.errors import MAX_ROW_ERRORS, InvalidRows, RowError, TooManyRows
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.rows.cells import Allowed, BadCell, Cell, allowed_by, read_cell
from wsgi_service.rows.tables import NUMPY, CellKind, Cells, Table
from wsgi_service.rows.unread import Read

#: Reads one value for a column, whose allowed values are given with it.
CellReader = Callable[[Column, Any, Allowed], Cell]
#: Type of a column -> kind of its cells.
KINDS: dict[str, CellKind] = {
    "number": "f8", "integer": "i8", "boolean": "bool", "string": "text", "datetime": "time",
}  # fmt: skip
#: Rows after which what they have become is counted; bytes for one that is wrong, and for a value's place: in its
#: column, and in what is made of that.
COUNTED_AT_ONCE, WRONG_ROW, PLACES = 256, 512, 24
#: Type of a column -> bytes of one of its values, where all are alike.
SIZES = {"number": 32, "integer": 36, "boolean": 0, "datetime": 80}
#: Missing columns that are named in one message.
NAMED_COLUMNS = 20
#: The widest table for which the right name is guessed for a wrong one.
GUESSED_COLUMNS = 300


def tabulate(schema: Schema, rows: Sequence[Any], read: CellReader = read_cell) -> Table:
    """The table of rows that are lists (by position), records (by name) or, for a text pipeline, texts.

    Raises:
        InvalidRows: naming row, column and what was expected.
    """
    checked = _Checked(schema, read)
    for index, row in enumerate(rows):
        checked.add(index, row)
    return checked.table()


def check_rows(
    schema: Schema,
    rows: Iterable[Any],
    row_by_row: bool,
    read: CellReader = read_cell,
    claim: Claim = UNCOUNTED,
) -> Read:
    """The same rows; if they are read row by row, those that are wrong are left out and named.

    What they become is taken from the claim as they come.
    """
    checked = _Checked(schema, read, row_by_row)
    count = 0
    for row in rows:
        checked.add(count, row)
        count += 1
        if not count % COUNTED_AT_ONCE:
            claim.grow(checked.grown())
    if not row_by_row or not checked.errors:
        return Read(count, checked.table())
    return Read(count, checked.table_of_the_good(), checked.good, checked.errors)


def shared_rows(schema: Schema, rows: Sequence[Any], known: Collection[str]) -> list[Any]:
    """Rows that are meant for several versions, without the columns that only the others know."""
    others = set(known) - set(schema.column_names)
    if not others:
        return list(rows)
    return [
        {name: value for name, value in row.items() if name not in others} if isinstance(row, dict) else row
        for row in rows
    ]


def read_rows(schema: Schema, rows: Sequence[Any], read: CellReader = read_cell) -> list[tuple[Cell, ...]]:
    """The values of rows, in the order of the columns, as they are when the rows are valid. Raises InvalidRows."""
    checked = _Checked(schema, read)
    for index, row in enumerate(rows):
        checked.add(index, row)
    return checked.rows()


class Misshapen(Struct, frozen=True):
    """A row that cannot even be taken apart, and what is said about it."""

    message: str


class _Checked:
    """Rows that are being checked, column by column; errors gather until there are enough of them."""

    def __init__(self, schema: Schema, read: CellReader = read_cell, row_by_row: bool = False) -> None:
        self._schema = schema
        self._names = schema.column_names
        self._known = frozenset(self._names)
        self._read = read
        self._most_errors = sys.maxsize if row_by_row else MAX_ROW_ERRORS
        self._allowed = [allowed_by(column) for column in schema.inputs]
        self._columns: list[list[Cell]] = [[] for _ in schema.inputs]
        self.errors: list[RowError] = []
        #: The rows that are right.
        self.good: list[int] = []
        self._counted = self._counted_errors = 0

    def grown(self) -> int:
        """Bytes that the rows take that were added since the last time."""
        first, errors = self._counted, self._counted_errors
        self._counted, self._counted_errors = len(self.good), len(self.errors)
        rows = self._counted - first
        values = sum(
            SIZES[column.type] * rows if column.type in SIZES else sum(map(sys.getsizeof, values[first:]))
            for column, values in zip(self._schema.inputs, self._columns, strict=True)
        )
        return values + PLACES * rows * len(self._columns) + WRONG_ROW * (self._counted_errors - errors)

    def add(self, index: int, row: Any) -> None:
        if self._schema.text and isinstance(row, str):
            row = [row]
        if isinstance(row, dict):
            self._add_values(index, self._by_name(index, row))
        elif isinstance(row, list):
            self._add_values(index, self._by_position(index, row))
        elif isinstance(row, Misshapen):
            self._fail(index, None, row.message)
        else:
            self._fail(index, None, f"expected a list of {len(self._columns)} values, or a record")
        if len(self.errors) >= self._most_errors:
            raise InvalidRows(self.errors)

    def table(self) -> Table:
        if self.errors:
            raise InvalidRows(self.errors)
        return self._assemble()

    def table_of_the_good(self) -> Table | None:
        return self._assemble() if self.good else None

    def _assemble(self) -> Table:
        """The table of the rows that are right. Raises InvalidRows if a column mixes kinds."""
        cells = [
            self._cells(column, values) for column, values in zip(self._schema.inputs, self._columns, strict=True)
        ]
        rows = len(self._columns[0])
        if all(cell.kind == "f8" for cell in cells):
            return Table(rows, matrix=np.column_stack([cell.values for cell in cells]))
        return Table(rows, columns=cells)

    def rows(self) -> list[tuple[Cell, ...]]:
        if self.errors:
            raise InvalidRows(self.errors)
        return list(zip(*self._columns, strict=True))

    def _fail(self, row: int, column: str | None, message: str) -> None:
        self.errors.append(RowError(row, column, message))

    def _add_values(self, index: int, values: list[Any] | None) -> None:
        if values is None:
            return
        cells: list[Cell] = []
        wrong = 0
        for column, allowed, value in zip(self._schema.inputs, self._allowed, values, strict=True):
            try:
                cells.append(self._read(column, value, allowed))
            except BadCell as error:
                self._fail(index, column.name, str(error))
                wrong += 1
                if wrong >= MAX_ROW_ERRORS:
                    break
        if len(cells) == len(self._columns):
            self.good.append(index)
            for column_values, cell in zip(self._columns, cells, strict=True):
                column_values.append(cell)

    def _by_position(self, index: int, row: list[Any]) -> list[Any] | None:
        names = self._names
        if len(row) == len(names):
            return row
        missing = names[len(row) :]
        verb = "is" if len(missing) == 1 else "are"
        tail = f": {_listed(missing)} {verb} missing" if missing else ""
        self._fail(index, None, f"expected {len(names)} columns, got {len(row)}{tail}")
        return None

    def _by_name(self, index: int, record: dict[str, Any]) -> list[Any] | None:
        before = len(self.errors)
        missing = (c.name for c in self._schema.inputs if c.name not in record and not c.optional)
        for name in islice(missing, MAX_ROW_ERRORS):
            self._fail(index, name, "is missing")
        unknown = [name for name in record if name not in self._known]
        if unknown:
            self._fail(index, None, self._unknown(unknown))
        if len(self.errors) > before:
            return None
        return [record.get(column.name) for column in self._schema.inputs]

    def _unknown(self, unknown: list[str]) -> str:
        """What is said about columns that the version does not have: their number and, if near, the right name."""
        near = [difflib.get_close_matches(name[:100], self._names, 1) for name in self._worth_a_guess(unknown)]
        hints = sorted({f"'{match[0]}'" for match in near if match})
        count = "1 column is" if len(unknown) == 1 else f"{len(unknown)} columns are"
        return f"{count} not known here" + (f"; did you mean {', '.join(hints)}?" if hints else "")

    def _worth_a_guess(self, unknown: list[str]) -> list[str]:
        """Guessing is slow: it is done for the first wrong row of a table that is not too wide."""
        return unknown[:3] if not self.errors and len(self._names) <= GUESSED_COLUMNS else []

    def _cells(self, column: Column, values: list[Cell]) -> Cells:
        kind = _kind_of(column, values)
        if kind is None:
            message = "the rows mix numbers, text and booleans in this column"
            raise InvalidRows([RowError(0, column.name, message)])
        return _pack(kind, values)


def _listed(names: Sequence[str]) -> str:
    """Names for a message: the first of them, and how many more there are."""
    more = f" and {len(names) - NAMED_COLUMNS} more" if len(names) > NAMED_COLUMNS else ""
    return ", ".join(f"'{name}'" for name in names[:NAMED_COLUMNS]) + more


def _kind_of(column: Column, values: list[Cell]) -> CellKind | None:
    """The kind of a column's cells; None if they are of several kinds."""
    if column.type != "any":
        return KINDS[column.type]
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1:
        return None
    kind = kinds.pop() if kinds else float
    return "bool" if kind is bool else "text" if kind is str else "f8"


def _pack(kind: CellKind, values: list[Cell]) -> Cells:
    if kind == "i8" and None not in values:
        return Cells("i8", np.array(values, dtype=np.int64))
    if kind in ("f8", "i8"):
        return Cells("f8", np.array(values, dtype=np.float64))  # numpy turns None into NaN here
    if kind == "time":
        return Cells("time", np.array([value or "NaT" for value in values], dtype=NUMPY["time"]))
    valid = np.array([value is not None for value in values])
    mask = None if valid.all() else valid
    if kind == "bool":
        return Cells("bool", np.array([bool(value) for value in values]), mask)
    return Cells("text", ["" if value is None else str(value) for value in values], mask)


def check_row_limit(rows: int, limit: int) -> None:
    """Raises TooManyRows."""
    if rows > limit:
        raise TooManyRows(
            f"The request has more than {limit} rows, the most that one may have. Send them in parts."
        )
