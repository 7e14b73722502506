"""One value of a request for one column: what is taken, and what is said about the rest."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from model_store.schema import Column

NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*", re.ASCII)
NUMERIC = frozenset({"number", "integer"})
INT64 = (-(2**63), 2**63 - 1)
SHOWN_CATEGORIES = 20
BOOLEANS = {"true": True, "false": False}
#: What a cell becomes: None is a missing value.
Cell = float | int | bool | str | None


class BadCell(Exception):
    """A value that the column does not take; the text says what it does take, and never what it was given."""


Allowed = frozenset[Any] | None


def allowed_by(column: Column) -> Allowed:
    """The categories of a column as a set, to be made once for a table; None where every value is taken."""
    return frozenset(column.categories) if column.closed and isinstance(column.categories, tuple) else None


def read_cell(column: Column, value: Any, allowed: Allowed) -> Cell:
    """The value as the column's type. Raises BadCell."""
    if value is None:
        if not column.nullable:
            raise BadCell("a missing value (null) is not taken here")
        return None
    cell = READERS[column.type](value)
    if allowed is not None and cell not in allowed:
        raise BadCell(_not_allowed(column))
    return cell


def read_text_cell(column: Column, value: str | None, allowed: Allowed) -> Cell:
    """The same for a value that came as text, where an empty one is missing, as one that was left out is."""
    if value is None or (value == "" and _cannot_be_empty(column)):
        return read_cell(column, None, allowed)
    if column.type == "any" and NUMBER.fullmatch(value):
        return _number(value)
    if column.type in NUMERIC and (said := value.strip().lower()) in BOOLEANS:
        return read_cell(column, BOOLEANS[said], allowed)
    if column.type in NUMERIC and DECIMAL_COMMA.fullmatch(value):
        raise BadCell("expected a number with a decimal point; to have decimal commas read, add ?decimal=,")
    return read_cell(column, value, allowed)


def read_decimal_comma(column: Column, value: str | None, allowed: Allowed) -> Cell:
    """The same where numbers are written with a decimal comma."""
    if value is not None and column.type in {*NUMERIC, "any"} and DECIMAL_COMMA.fullmatch(value):
        value = value.replace(",", ".")
    return read_text_cell(column, value, allowed)


def _cannot_be_empty(column: Column) -> bool:
    """Whether an empty text can only mean that the value is missing."""
    known = column.categories if isinstance(column.categories, tuple) else None
    return column.type != "string" or (column.nullable and known is not None and "" not in known)


def _number(value: Any) -> float:
    """A number; true is 1 and false is 0, as everywhere in numpy and so in estimators."""
    if isinstance(value, str) and NUMBER.fullmatch(value):
        value = float(value)
    if not isinstance(value, int | float):
        raise BadCell(f"expected a number, got {_kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadCell("the number is too large")
    return number


def _integer(value: Any) -> int:
    number = value if type(value) is int else _number(value)
    if number != int(number):
        raise BadCell("expected a whole number")
    if not INT64[0] <= number <= INT64[1]:
        raise BadCell("the number is too large")
    return int(number)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = BOOLEANS | {"1": True, "0": False, 1: True, 0: False}
    choice = known.get(value.strip().lower() if isinstance(value, str) else value) if _hashable(value) else None
    if choice is None:
        raise BadCell(f"expected true or false, got {_kind(value)}")
    return choice


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise BadCell(f"expected text, got {_kind(value)}")
    return value


def _datetime(value: Any) -> str:
    """ISO 8601 text in one way of writing it; a time with an offset becomes the time in UTC."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError):
        raise BadCell("expected a date or a time, such as 2024-01-31 or 2024-01-31T12:00:00") from None
    return moment.isoformat()


def _any(value: Any) -> Cell:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return _number(value)
    raise BadCell(f"expected a number, text, true or false, got {_kind(value)}")


READERS: dict[str, Callable[[Any], Cell]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "string": _string,
    "datetime": _datetime,
    "any": _any,
}


def _not_allowed(column: Column) -> str:
    categories = column.categories if isinstance(column.categories, tuple) else ()
    shown = ", ".join(str(value) for value in categories[:SHOWN_CATEGORIES])
    more = f" and {len(categories) - SHOWN_CATEGORIES} more" if len(categories) > SHOWN_CATEGORIES else ""
    return f"not one of the allowed: {shown}{more}"


def _hashable(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _kind(value: Any) -> str:
    names = {
        str: "text",
        bool: "true or false",
        dict: "a record",
        list: "a list",
        type(None): "null",
    }
    return names.get(type(value), "a number")
