"""What a version answered to a request, before it is written in any format."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET
from werkzeug.utils import cached_property

from model_store.entities import Answering, Version
from model_store.methods import row_major
from model_store.schema import Scalar
from wsgi_service.errors import RowError
from wsgi_service.rows.unread import Read

PREDICT = "predict"
#: Methods that give one number for each class.
PER_CLASS = ("predict_proba", "predict_log_proba", "decision_function")


@dataclass
class Answer:
    """One entry for each row that was sent, and what is said beside them.

    Attributes:
        version: that answered.
        engine: that computed the answer.
        estimator_rows: how many of the rows a program left to its estimator.
        alias: it was asked for by.
        results: method -> what the estimator gave for the rows that were right; None if none was.
        read: the rows that were sent.
        several: whether the request named several methods, so that the answer has the outputs of each.
        flat: whether the request was one record.
        example: the row that was answered, where the request had none.
    """

    version: Version
    engine: Answering
    alias: str | None
    results: dict[str, Any]
    read: Read
    request_id: str
    estimator_rows: int = 0
    several: bool = False
    flat: bool = False
    example: dict[str, Scalar] | None = None

    @property
    def rows(self) -> int:
        """How many rows were sent."""
        return self.read.rows

    @property
    def errors(self) -> list[RowError]:
        """What was wrong with rows that were left out."""
        return self.read.errors

    @property
    def passing(self) -> dict[str, Sequence[Any]]:
        """Columns of the request that pass through."""
        return self.read.passing

    @cached_property
    def outputs(self) -> dict[str, list[Any]]:
        """Method -> one entry for each row; null for rows that were wrong, and numbers that are not finite."""
        return {method: _spread(entries, self.read) for method, (entries, _) in self._majors.items()}

    @property
    def finite(self) -> bool:
        """Whether all outputs were finite numbers."""
        return all(finite for _, finite in self._majors.values())

    @cached_property
    def _majors(self) -> dict[str, tuple[list[Any], bool]]:
        return {
            method: ([], True) if result is None else row_major(result) for method, result in self.results.items()
        }

    @property
    def labels(self) -> list[str | None] | None:
        """The names for people of the predicted classes, where there are some."""
        names, classes = self.version.class_names, self.version.schema.classes
        if PREDICT not in self.outputs or names is UNSET or classes is UNSET:
            return None
        by_class = dict(zip(classes, names, strict=True))
        return [None if isinstance(value, list) else by_class.get(value) for value in self.outputs[PREDICT]]

    @property
    def first_errors(self) -> dict[int, RowError]:
        """Row -> the first thing that was noticed about it."""
        return {error.row: error for error in reversed(self.errors)}


def _spread(values: list[Any], read: Read) -> list[Any]:
    """The entries of the rows that were right, with null for those that were wrong."""
    if read.good is None:
        return values
    spread: list[Any] = [None] * read.rows
    for row, value in zip(read.good, values, strict=True):
        spread[row] = value
    return spread
