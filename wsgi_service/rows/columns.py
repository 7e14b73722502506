"""An answer as named columns, for formats that are tables: what passes through, the outputs, what was wrong."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from wsgi_service.errors import RowError
from wsgi_service.rows.answer import PREDICT, Answer
from wsgi_service.rows.formats.csv_body import PREDICTION, PROBABILITY, text_of

ERROR = "error"
#: Behind the name of a column that passes through and has the name of an output.
GIVEN = "_given"
#: Method with one number for each class -> how the names of its columns begin.
PREFIXES = {
    "predict_proba": PROBABILITY,
    "predict_log_proba": f"log_{PROBABILITY}",
    "decision_function": "decision_",
}
#: What the two parts of `kneighbors` are called.
NEIGHBOURS = ("distance", "neighbor")

Columns = dict[str, Sequence[Any]]


def columns_of(answer: Answer, row_by_row: bool) -> Columns:
    """Name -> one value for each row.

    Args:
        answer: what to write.
        row_by_row: whether there is a column for what was wrong.
    """
    columns: Columns = {}
    for method, entries in answer.outputs.items():
        columns |= _columns(answer, method, entries)
    if row_by_row:
        found = answer.first_errors
        columns[ERROR] = [_said(found.get(row)) for row in range(answer.rows)]
    # A table may have the truth in a column called prediction; it is not lost.
    passing = {name + GIVEN if name in columns else name: values for name, values in answer.passing.items()}
    return passing | columns


def _columns(answer: Answer, method: str, entries: list[Any]) -> Columns:
    """The outputs of a method: one column for a single one, otherwise one for each."""
    if method == PREDICT:
        entries = answer.labels or entries
    sample = next((entry for entry in entries if entry is not None), None)
    if sample is None:
        sample = _shape_of(answer, method)
    if not isinstance(sample, list):
        return {PREDICTION if method == PREDICT else method: entries}
    names = _nested_names(answer, method, sample) if _is_nested(sample) else _names(answer, method, len(sample))
    flat = [[None] * len(names) if entry is None else _flat(entry) for entry in entries]
    return {name: [row[index] for row in flat] for index, name in enumerate(names)}


def _shape_of(answer: Answer, method: str) -> Any:
    """An entry without values, as far as the schema says what one would look like; for answers without any."""
    schema = answer.version.schema
    if method == PREDICT and len(schema.outputs) > 1:
        return [None] * len(schema.outputs)
    if method in PREFIXES and schema.classes is not UNSET:
        several = any(isinstance(part, tuple) for part in schema.classes)
        return [[None] * len(part) for part in schema.classes if isinstance(part, tuple)] if several else [
            None
        ] * len(schema.classes)  # fmt: skip
    return None


def _names(answer: Answer, method: str, width: int) -> list[str]:
    """What the outputs of a row are called that has one list of them."""
    known = _labels(answer) if method in PREFIXES else _outputs(answer) if method == PREDICT else []
    numbered = PREDICTION if method == PREDICT else method
    if len(known) != width:
        return [f"{numbered}_{index}" for index in range(width)]
    return [PREFIXES.get(method, "") + name for name in known]


def _nested_names(answer: Answer, method: str, sample: list[list[Any]]) -> list[str]:
    """What they are called where there is a list for each output, or distances and indices of neighbours."""
    outputs = _outputs(answer)
    if method == "kneighbors":
        outputs = list(NEIGHBOURS)
    elif len(outputs) != len(sample):
        outputs = [str(index) for index in range(len(sample))]
    return [
        PREFIXES.get(method, "") + f"{output}_{label}"
        for place, (output, part) in enumerate(zip(outputs, sample, strict=True))
        for label in _labels_of_output(answer, place, len(part))
    ]


def _labels_of_output(answer: Answer, place: int, width: int) -> list[str]:
    """The classes of one of several outputs; numbers where they are not known."""
    classes = () if answer.version.schema.classes is UNSET else answer.version.schema.classes
    labels = classes[place] if place < len(classes) else ()
    if not isinstance(labels, tuple) or len(labels) != width:
        return [str(index) for index in range(width)]
    return [text_of(label) for label in labels]


def _labels(answer: Answer) -> list[str]:
    """The names of the classes, or the classes themselves."""
    version = answer.version
    classes = () if version.schema.classes is UNSET else version.schema.classes
    return [text_of(label) for label in (classes if version.class_names is UNSET else version.class_names)]


def _outputs(answer: Answer) -> list[str]:
    return [output.name for output in answer.version.schema.outputs]


def _is_nested(sample: list[Any]) -> bool:
    return bool(sample) and isinstance(sample[0], list)


def _flat(entry: list[Any]) -> list[Any]:
    return [value for part in entry for value in part] if _is_nested(entry) else entry


def _said(error: RowError | None) -> str | None:
    if error is None:
        return None
    return error.message if error.column is None else f"{error.column}: {error.message}"
