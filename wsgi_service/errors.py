"""What keeps a request from its answer: its body, its rows, or what can go wrong while a version predicts.

InputError
├── MalformedBody     the body cannot be parsed at all
├── InvalidRequest    what it asks for is wrong
│   ├── UnknownParameter
│   └── UnsupportedMethod
├── InvalidRows       rows do not fit the version's columns
├── TooManyRows       there are more of them than one request may have
└── TooLargeDecoded   the body would become too large

ServingError
├── Busy              no slot or host came free in time
├── TooLate           the client's own time was over before computing began
├── NotWanted         the client has gone
├── ModelQuarantined  it took hosts down too often
├── ModelCrashed      the host died while it worked on this
├── DeadlineExceeded  it took too long, and the host was ended
├── OutOfMemory       the host ran out of memory
├── ResultTooLarge    there are too many numbers in the answer
└── PredictFailed     the estimator raised an exception
"""

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


class InputError(Exception):
    """What was sent is not what is taken."""


class MalformedBody(InputError):
    """The body cannot be parsed at all."""


class InvalidRequest(InputError):
    """The body was parsed, and what it asks for is wrong."""


class UnknownParameter(InvalidRequest):
    """The query string has a key that the address does not take."""


class UnsupportedMethod(InvalidRequest):
    """The version has no such method."""


class InvalidRows(InputError):
    """Rows that do not fit the version's columns.

    Args:
        errors: the first MAX_ROW_ERRORS of them.
    """

    def __init__(self, errors: list[RowError]) -> None:
        super().__init__(_summary(errors))
        self.errors = errors[:MAX_ROW_ERRORS]


class TooManyRows(InputError):
    """More rows than one request may have."""


class TooLargeDecoded(InputError):
    """The body is not too long, but what it would become is too large."""


def _summary(errors: list[RowError]) -> str:
    first = errors[0]
    where = f"row {first.row}" + (f", column '{first.column}'" if first.column is not None else "")
    more = f" ({len(errors)} errors in all)" if len(errors) > 1 else ""
    return f"{where}: {first.message}{more}"


class ServingError(Exception):
    """Anything that keeps a version from answering."""


#: What is said where too many wait already, and to who has waited for too long.
TOO_MANY = "Too many requests for this version are waiting already. Try again in a moment."
TOO_LONG = "Everything that could answer is at work. Try again in a moment."


class Busy(ServingError):
    """Everything that could work on this is at work already."""


class TooLate(ServingError):
    """The time that the client gave was over before anything was computed."""


class NotWanted(ServingError):
    """The client has gone, so nothing was computed."""


class ModelQuarantined(ServingError):
    """The version took hosts down too often, and somebody has to lift its quarantine."""


class ResultTooLarge(ServingError):
    """The answer would hold more numbers than are sent."""


class ModelCrashed(ServingError):
    """The process that worked on this died."""


class DeadlineExceeded(ServingError):
    """The work took longer than allowed and was ended."""


class OutOfMemory(ServingError):
    """The work needed more memory than there is.

    Args:
        message: for the person who asked.
        fatal: whether the host had to be ended for it.
    """

    def __init__(self, message: str, fatal: bool = False) -> None:
        super().__init__(message)
        self.fatal = fatal


class PredictFailed(ServingError):
    """The estimator itself refused; its exception is in the server's log."""
