"""What is wrong with rows, said so that whoever sent them can mend them."""

from msgspec import UNSET, Struct, UnsetType

MAX_ROW_ERRORS = 100


class RowError(Struct, frozen=True):
    """One cell or row that is wrong.

    Attributes:
        row: counted from 0.
        column: None if it is about the whole row.
        message: what was expected, never what was given.
        line: of a CSV body, as a spreadsheet shows it.
    """

    row: int
    column: str | None
    message: str
    line: int | UnsetType = UNSET


class MalformedBody(Exception):
    """The body cannot be parsed at all."""


class InvalidRequest(Exception):
    """The body was parsed, and what it asks for is wrong."""


class UnsupportedMethod(InvalidRequest):
    """The version has no such method."""


class InvalidRows(Exception):
    """Rows that do not fit the version's columns.

    Args:
        errors: the first MAX_ROW_ERRORS of them.
    """

    def __init__(self, errors: list[RowError]) -> None:
        super().__init__(_summary(errors))
        self.errors = errors[:MAX_ROW_ERRORS]


class TooManyRows(Exception):
    """More rows than one request may have."""


class TooLargeDecoded(Exception):
    """The body is not too long, but what it would become is too large."""


def _summary(errors: list[RowError]) -> str:
    first = errors[0]
    where = f"row {first.row}" + (f", column '{first.column}'" if first.column is not None else "")
    more = f" ({len(errors)} errors in all)" if len(errors) > 1 else ""
    return f"{where}: {first.message}{more}"
