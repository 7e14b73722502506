"""Rows, by position or by name, become a checked table of the version's columns."""

import difflib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from model_store.schema import Column, Schema
from wsgi_service.inputs.cells import BadCell, Cell, allowed_by, read_cell, read_text_cell
from wsgi_service.inputs.errors import MAX_ROW_ERRORS, InvalidRows, RowError
from wsgi_service.serving.tables import Cells, Table

#: The widest table for which the right name is guessed for a wrong one.
GUESSED_COLUMNS = 300


def tabulate(schema: Schema, rows: Sequence[Any], read: Any = read_cell) -> Table:
    """The table of rows that are lists (by position), records (by name) or, for a text pipeline, texts.

    Raises:
        InvalidRows: naming row, column and what was expected.
    """
    checked = _Checked(schema, read)
    for index, row in enumerate(rows):
        checked.add(index, row)
    return checked.table()


def shared_rows(schema: Schema, rows: Sequence[Any], known: Collection[str]) -> list[Any]:
    """Rows that are meant for several versions, without the columns that only the others know."""
    others = set(known) - set(schema.column_names)
    if not others:
        return list(rows)
    return [
        {name: value for name, value in row.items() if name not in others} if isinstance(row, dict) else row
        for row in rows
    ]


def tabulate_texts(schema: Schema, record: dict[str, str]) -> Table:
    """The table of one record whose values are all text, from a query string. Raises InvalidRows."""
    checked = _Checked(schema, read_text_cell)
    checked.add(0, record)
    return checked.table()


def read_rows(schema: Schema, rows: Sequence[Any], read: Any = read_cell) -> list[tuple[Cell, ...]]:
    """The values of rows, in the order of the columns, as they are when the rows are valid. Raises InvalidRows."""
    checked = _Checked(schema, read)
    for index, row in enumerate(rows):
        checked.add(index, row)
    return checked.rows()


class _Checked:
    """Rows that are being checked, column by column; errors gather until there are enough of them."""

    def __init__(self, schema: Schema, read: Any = read_cell) -> None:
        self._schema = schema
        self._names = schema.column_names
        self._known = frozenset(self._names)
        self._read = read
        self._allowed = [allowed_by(column) for column in schema.inputs]
        self._columns: list[list[Cell]] = [[] for _ in schema.inputs]
        self._errors: list[RowError] = []

    def add(self, index: int, row: Any) -> None:
        if self._schema.text and isinstance(row, str):
            row = [row]
        if isinstance(row, dict):
            self._add_values(index, self._by_name(index, row))
        elif isinstance(row, list):
            self._add_values(index, self._by_position(index, row))
        else:
            self._fail(index, None, f"expected a list of {len(self._columns)} values, or a record")
        if len(self._errors) >= MAX_ROW_ERRORS:
            raise InvalidRows(self._errors)

    def table(self) -> Table:
        if not self._errors:
            cells = [
                self._cells(column, values)
                for column, values in zip(self._schema.inputs, self._columns, strict=True)
            ]
        if self._errors:
            raise InvalidRows(self._errors)
        rows = len(self._columns[0])
        if all(cell.kind == "f8" for cell in cells):
            return Table(rows, matrix=np.column_stack([cell.values for cell in cells]))
        return Table(rows, columns=cells)

    def rows(self) -> list[tuple[Cell, ...]]:
        if self._errors:
            raise InvalidRows(self._errors)
        return list(zip(*self._columns, strict=True))

    def _fail(self, row: int, column: str | None, message: str) -> None:
        self._errors.append(RowError(row, column, message))

    def _add_values(self, index: int, values: list[Any] | None) -> None:
        if values is None:
            return
        parts = zip(self._schema.inputs, self._allowed, self._columns, values, strict=True)
        for column, allowed, column_values, value in parts:
            try:
                column_values.append(self._read(column, value, allowed))
            except BadCell as error:
                self._fail(index, column.name, str(error))

    def _by_position(self, index: int, row: list[Any]) -> list[Any] | None:
        names = self._names
        if len(row) == len(names):
            return row
        missing = ", ".join(f"'{name}'" for name in names[len(row) :])
        verb = "is" if len(names) - len(row) == 1 else "are"
        tail = f": {missing} {verb} missing" if missing else ""
        self._fail(index, None, f"expected {len(names)} columns, got {len(row)}{tail}")
        return None

    def _by_name(self, index: int, record: dict[str, Any]) -> list[Any] | None:
        before = len(self._errors)
        for column in self._schema.inputs:
            if column.name not in record and not column.optional:
                self._fail(index, column.name, "is missing")
        unknown = [name for name in record if name not in self._known]
        if unknown:
            self._fail(index, None, self._unknown(unknown))
        if len(self._errors) > before:
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
        return unknown[:3] if not self._errors and len(self._names) <= GUESSED_COLUMNS else []

    def _cells(self, column: Column, values: list[Cell]) -> Cells:
        kind = _kind_of(column, values)
        if kind is None:
            self._fail(0, column.name, "the rows mix numbers, text and booleans in this column")
            return Cells("f8", np.zeros(len(values)))
        return _pack(kind, values)


def _kind_of(column: Column, values: list[Cell]) -> str | None:
    """The kind of a column's cells; None if they are of several kinds."""
    if column.type != "any":
        return {"number": "f8", "integer": "i8", "boolean": "bool", "string": "text"}[column.type]
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1:
        return None
    return {bool: "bool", str: "text"}.get(kinds.pop(), "f8") if kinds else "f8"


def _pack(kind: str, values: list[Cell]) -> Cells:
    if kind == "i8" and None not in values:
        return Cells("i8", np.array(values, dtype=np.int64))
    if kind in ("f8", "i8"):
        return Cells("f8", np.array(values, dtype=np.float64))  # numpy turns None into NaN here
    valid = np.array([value is not None for value in values])
    mask = None if valid.all() else valid
    if kind == "bool":
        return Cells("bool", np.array([bool(value) for value in values]), mask)
    return Cells("text", ["" if value is None else str(value) for value in values], mask)
