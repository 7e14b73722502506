"""An answer in CSV: what passes through, the prediction, a probability for each class, and what was wrong."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import UNSET

from wsgi_service.inputs.csv_body import PREDICTION, PROBABILITY, text_of
from wsgi_service.outputs.answer import PER_CLASS, Answer, labels_of

ERROR = "error"


def write(answer: Answer, row_by_row: bool) -> bytes:
    """The lines of an answer, in UTF-8 with CRLF (RFC 4180).

    Args:
        answer: what to write.
        row_by_row: whether there is a column for what was wrong.
    """
    columns: dict[str, Sequence[Any]] = dict(answer.passing)
    columns |= _outputs(answer)
    if row_by_row:
        columns[ERROR] = _errors(answer)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(_rows(list(columns.values())))
    return text.getvalue().encode()


def _rows(columns: list[Sequence[Any]]) -> Iterator[list[str]]:
    for row in zip(*columns, strict=True):
        yield [_cell(value) for value in row]


def _cell(value: Any) -> str:
    return "" if value is None else text_of(value)


def _outputs(answer: Answer) -> dict[str, Sequence[Any]]:
    """The columns of what was answered."""
    classes = answer.version.schema.classes
    if answer.method in PER_CLASS and classes is not UNSET and not _is_nested(classes):
        return _by_class(answer, answer.predictions)
    shown = labels_of(answer) or answer.predictions
    columns = _named(answer, shown)
    if answer.probabilities is not None:
        columns |= _by_class(answer, answer.probabilities)
    return columns


def _named(answer: Answer, values: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """One column for a single output, otherwise one for each of them."""
    width = max((len(value) for value in values if isinstance(value, list)), default=0)
    if not width:
        return {PREDICTION: values}
    names = [output.name for output in answer.version.schema.outputs]
    if len(names) != width or answer.method != "predict":
        names = [f"{PREDICTION}_{index}" for index in range(width)]
    return _columns(names, values)


def _by_class(answer: Answer, values: Sequence[Any]) -> dict[str, Sequence[Any]]:
    version = answer.version
    classes = () if version.schema.classes is UNSET else version.schema.classes
    labels = classes if version.class_names is UNSET else version.class_names
    return _columns([PROBABILITY + text_of(label) for label in labels], values)


def _columns(names: list[str], values: Sequence[Any]) -> dict[str, Sequence[Any]]:
    nothing = [None] * len(names)
    rows = [nothing if value is None else value for value in values]
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def _errors(answer: Answer) -> list[str | None]:
    """What was wrong with each row: the first thing that was noticed."""
    said: list[str | None] = [None] * len(answer.predictions)
    for error in reversed(answer.errors):
        said[error.row] = error.message if error.column is None else f"{error.column}: {error.message}"
    return said


def _is_nested(classes: Any) -> bool:
    return any(isinstance(label, tuple) for label in classes)
