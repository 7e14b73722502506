"""The forms in which rows stand in JSON: as they are, by columns, or as pandas splits a frame."""

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from wsgi_service.errors import InvalidRequest, MalformedBody, TooLargeDecoded
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.rows.checking import PLACES, Misshapen, check_row_limit
from wsgi_service.rows.formats.json_pieces import (
    COMMA,
    MOST_NAMES,
    PIECE,
    RATIO,
    TEXT_RATIO,
    TOO_MANY_NAMES,
    decode_any,
    decode_value,
    large_row,
    lists,
    members,
)
from wsgi_service.rows.unread import INSTANCES

#: What separates values or begins them, and bytes that one of them stands for at most.
MARKS, MARK = (b",", b":", b"[", b"{"), 80
_frame = msgspec.json.Decoder(
    msgspec.defstruct("Frame", [("data", Raw), ("columns", Raw | UnsetType, UNSET)])  # and `index`, unread
)


class Elements:
    """Gives the elements of lists in a body, not all at once.

    Args:
        form: what the body calls its rows.
        limit: most rows.
        width: columns of the version.
        claim: takes what is decoded.
    """

    def __init__(self, form: str, limit: int, width: int, claim: Claim) -> None:
        self._form = form
        self._limit = limit
        self.claim = claim
        self._large = large_row(width, claim)

    def rows(self, raw: Raw) -> Iterator[Any]:
        """The elements of a list of rows. Raises InvalidRequest if it is none or empty, or TooManyRows."""
        count = 0
        for found in self._lists(raw):
            count += len(found)
            check_row_limit(count, self._limit)
            yield from found
        if not count:
            raise InvalidRequest(f'"{self._form}" has no rows.')

    def column(self, raw: Raw) -> list[Any]:
        """The values of one column. Raises like `rows`, but it may be empty."""
        values: list[Any] = []
        for found in self._lists(raw):
            values.extend(found)
            check_row_limit(len(values), self._limit)
            self.claim.grow(sum(map(sys.getsizeof, found)) + PLACES * len(found))
        return values

    def _lists(self, raw: Raw) -> Iterator[list[Any]]:
        if not starts_with(raw, b"["):
            raise InvalidRequest(f'"{self._form}" must be a list of rows: lists of values, or records.')
        try:
            yield from lists(raw, self.claim, decode_any, self._large)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"The body has a number that is out of range ({error}).") from None
        except msgspec.DecodeError as error:
            raise malformed(error) from None


def _as_they_are(raw: Raw, elements: Elements) -> Iterable[Any]:
    return elements.rows(raw)


def _from_columns(raw: Raw, elements: Elements) -> Iterable[Any]:
    """Rows of an object with a list for each column; a list is one of rows."""
    if not starts_with(raw, b"{"):
        return elements.rows(raw)
    columns = members(memoryview(raw), elements.claim)
    if not all(starts_with(values, b"[") for values in columns.values()):
        raise InvalidRequest(UNEQUAL)
    lists_ = [elements.column(values) for values in columns.values()]
    if len({len(values) for values in lists_}) > 1:
        raise InvalidRequest(UNEQUAL)
    if not lists_ or not lists_[0]:
        raise InvalidRequest('"inputs" has no rows.')
    return (dict(zip(columns, values, strict=True)) for values in zip(*lists_, strict=True))


UNEQUAL = '"inputs" must have a list for each column, all of the same length.'


def _from_split(raw: Raw, elements: Elements) -> Iterable[Any]:
    """Rows of a DataFrame as pandas writes it with orient="split"."""
    try:
        frame: Any = _frame.decode(raw)
    except msgspec.ValidationError:
        raise InvalidRequest('"dataframe_split" must have "columns" and "data".') from None
    if not starts_with(frame.data, b"["):
        raise InvalidRequest('"dataframe_split" must have "columns" and "data".')
    if frame.columns is UNSET or starts_with(frame.columns, b"n"):
        return elements.rows(frame.data)
    names = _names_in(frame.columns, elements.claim)
    if len(set(names)) < len(names):
        raise InvalidRequest('The "columns" of "dataframe_split" name a column twice.')
    return map(partial(_named, names), elements.rows(frame.data))


def _names_in(raw: Raw, claim: Claim) -> list[str]:
    """The names in a list. Raises InvalidRequest or TooLargeDecoded."""
    view = memoryview(raw)
    if bytes(view).count(COMMA) > MOST_NAMES:
        raise TooLargeDecoded(TOO_MANY_NAMES)
    claim.grow(RATIO * len(view) if len(view) <= PIECE else 2 * len(view) + RATIO * MOST_NAMES)
    names = decode_value(raw) if starts_with(raw, b"[") else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest('The "columns" of "dataframe_split" must be a list of names.')
    return names


def _named(names: list[str], row: Any) -> Any:
    if isinstance(row, Misshapen):
        return row
    if not isinstance(row, list) or len(row) != len(names):
        return Misshapen(f"expected a list of {len(names)} values, one for each of the columns")
    return dict(zip(names, row, strict=True))


#: Key -> how its value becomes rows.
FORMS: dict[str, Callable[[Raw, Elements], Iterable[Any]]] = {
    INSTANCES: _as_they_are,
    "inputs": _from_columns,
    "dataframe_split": _from_split,
    "dataframe_records": _as_they_are,
}


def rows_in(form: str, text: bytes) -> list[Any]:
    """All rows of the value of one of FORMS. Raises InvalidRequest or MalformedBody."""
    return list(FORMS[form](Raw(text), Elements(form, sys.maxsize, MOST_NAMES, UNCOUNTED)))


def decode_whole(raw: Raw, claim: Claim) -> Any:
    """A value that is needed as a whole; lists come in pieces. Raises like `decode_value`, or TooLargeDecoded."""
    view = memoryview(raw)
    if len(view) <= PIECE:
        return decode_value(raw)
    whole = bytes(view)
    claim.grow(MARK * sum(map(whole.count, MARKS)) + TEXT_RATIO * len(whole))
    if not starts_with(raw, b"["):
        return decode_value(raw)
    try:
        return list(chain.from_iterable(lists(raw, claim, decode_any, decode_value)))
    except msgspec.DecodeError as error:
        raise malformed(error) from None


def starts_with(raw: Raw, one_of: bytes) -> bool:
    """Whether a value begins with one of these bytes."""
    return bytes(memoryview(raw)[:1]) in one_of


def malformed(error: Exception) -> MalformedBody:
    """What it means that a body cannot be decoded."""
    if isinstance(error, RecursionError):
        return MalformedBody("The body is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return MalformedBody("The body is not in UTF-8.")
    return MalformedBody(f"The body is not valid JSON ({error}).")
