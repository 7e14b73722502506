"""What a predict sends, before anybody knows which version it is for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from model_store.schema import Schema
from wsgi_service.errors import RowError
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.rows.tables import Table

#: The key of rows in JSON, as most servers call it.
INSTANCES = "instances"
#: From a format, a body, a limit of rows, and what takes it, to names and columns.
Unpack = Callable[[str, bytes, int, Claim], tuple[tuple[str, ...], Table]]


class Reading(Struct, frozen=True):
    """How rows are to be read.

    Attributes:
        row_limit: most rows.
        row_by_row: whether rows that are wrong are left out and named, instead of refusing all of them.
        decimal: the decimal mark of numbers that come as text.
        unpack: gives the names and columns of a Parquet or Arrow body of at most so many rows.
    """

    row_limit: int
    row_by_row: bool = False
    decimal: str = "."
    unpack: Unpack | None = None


@dataclass
class Read:
    """Rows that were held against a schema.

    Attributes:
        rows: how many were sent.
        table: those that are right; None if none is.
        good: which those are, None if all of them.
        errors: what is wrong with the others.
        passing: name -> one value for each row, of columns that the version does not have and that pass through.
    """

    rows: int
    table: Table | None
    good: list[int] | None = None
    errors: list[RowError] = field(default_factory=list)
    passing: dict[str, Sequence[Any]] = field(default_factory=dict)


class Sent(Struct, frozen=True):
    """The rows of a request, and what it says beside them.

    Attributes:
        control: who is to answer how (`model`, `version`, `alias`, `method`), as it was written.
        read: holds the rows against a schema. Raises InvalidRows, InvalidRequest, TooManyRows or MalformedBody.
        flat: whether it is one flat record, which also gets its single prediction by itself.
        claim: what its body takes of the memory for decoding.
    """

    control: dict[str, Any]
    read: Callable[[Schema, Reading], Read]
    flat: bool = False
    claim: Claim = UNCOUNTED
