"""What a version answered to a request, before it is written in any format."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET

from model_store.entities import Version
from model_store.outcomes import row_major
from wsgi_service.inputs.errors import RowError
from wsgi_service.inputs.sent import Read
from wsgi_service.serving.predictor import ENGINES, NATIVE

PER_CLASS = ("predict_proba", "predict_log_proba")


@dataclass
class Answer:
    """One entry for each row that was sent, and what is said beside them.

    Attributes:
        version: that answered.
        alias: it was asked for by.
        method: that was called.
        predictions: one entry for each row; null for rows that were wrong.
        probabilities: where they are wanted beside the predictions, likewise.
        finite: whether all outputs were finite numbers; the others are null.
        errors: what was wrong with rows that were left out.
        passing: columns of the request that pass through.
        flat: whether the request was one record.
    """

    version: Version
    alias: str | None
    method: str
    predictions: list[Any]
    finite: bool
    request_id: str
    probabilities: list[Any] | None = None
    errors: list[RowError] = field(default_factory=list)
    passing: dict[str, Sequence[str]] = field(default_factory=dict)
    flat: bool = False

    @property
    def engine(self) -> str:
        """What computed the answer."""
        return ENGINES.get(self.version.format, NATIVE)


def entries(result: Any, read: Read) -> tuple[list[Any], bool]:
    """A result as one entry for each row that was sent, and whether all numbers were finite."""
    values, finite = row_major(result) if result is not None else ([], True)
    if read.good is None:
        return values, finite
    spread: list[Any] = [None] * read.rows
    for row, value in zip(read.good, values, strict=True):
        spread[row] = value
    return spread, finite


def labels_of(answer: Answer) -> list[str | None] | None:
    """The names for people of the predicted classes, where there are some."""
    names, classes = answer.version.class_names, answer.version.schema.classes
    if answer.method != "predict" or names is UNSET or classes is UNSET:
        return None
    by_class = dict(zip(classes, names, strict=True))
    return [None if isinstance(value, list) else by_class.get(value) for value in answer.predictions]
