"""What a version answered to a request, before it is written in any format."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET

from model_store.entities import Engine, Version
from model_store.outcomes import row_major
from model_store.schema import Scalar
from wsgi_service.inputs.errors import RowError
from wsgi_service.inputs.sent import Read

PREDICT = "predict"
#: Methods that give one number for each class.
PER_CLASS = ("predict_proba", "predict_log_proba", "decision_function")


@dataclass
class Answer:
    """One entry for each row that was sent, and what is said beside them.

    Attributes:
        version: that answered.
        engine: that computed the answer.
        alias: it was asked for by.
        outputs: method -> one entry for each row; null for rows that were wrong.
        results: method -> the same as the estimator gave it, without the rows that were wrong.
        several: whether the request named several methods, so that the answer has the outputs of each.
        finite: whether all outputs were finite numbers; the others are null.
        errors: what was wrong with rows that were left out.
        passing: columns of the request that pass through.
        flat: whether the request was one record.
        example: the row that was answered, where the request had none.
    """

    version: Version
    engine: Engine
    alias: str | None
    outputs: dict[str, list[Any]]
    results: dict[str, Any]
    finite: bool
    request_id: str
    several: bool = False
    errors: list[RowError] = field(default_factory=list)
    passing: dict[str, Sequence[Any]] = field(default_factory=dict)
    flat: bool = False
    example: dict[str, Scalar] | None = None

    @property
    def rows(self) -> int:
        """How many rows were sent."""
        return len(next(iter(self.outputs.values())))

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


def entries_of(results: dict[str, Any], read: Read) -> tuple[dict[str, list[Any]], bool]:
    """Results as one entry for each row that was sent, and whether all numbers were finite."""
    majors = {method: ([], True) if result is None else row_major(result) for method, result in results.items()}
    outputs = {method: _spread(values, read) for method, (values, _) in majors.items()}
    return outputs, all(finite for _, finite in majors.values())


def _spread(values: list[Any], read: Read) -> list[Any]:
    """The entries of the rows that were right, with null for those that were wrong."""
    if read.good is None:
        return values
    spread: list[Any] = [None] * read.rows
    for row, value in zip(read.good, values, strict=True):
        spread[row] = value
    return spread
