"""Examples of a version: rows with the outputs that are expected for them, from JSON, CSV or TSV."""

import math
from collections.abc import Callable, Collection
from typing import Any

from msgspec import UNSET, Raw

from model_store.entities import Facts
from model_store.errors import InvalidExamples
from model_store.methods import usual_method
from model_store.proof.examples import TOLERANCE, Examples, is_number
from model_store.schema import Schema
from wsgi_service.errors import InvalidRequest
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.http.representations import ShownExamples
from wsgi_service.rows.cells import INT64, NUMBER, read_text_cell
from wsgi_service.rows.checking import read_rows
from wsgi_service.rows.formats.csv_body import PREDICTION, PROBABILITY, TextRow, text_of
from wsgi_service.rows.formats.json_body import parse_object
from wsgi_service.rows.formats.json_forms import decode_whole
from wsgi_service.rows.row_formats import Format
from wsgi_service.rows.unread import INSTANCES

PREDICTIONS, PROBABILITIES, TOLERATED = "predictions", "probabilities", "tolerance"
KNOWN = (INSTANCES, PREDICTIONS, PROBABILITIES, TOLERATED)


def read_examples(
    body: bytes,
    facts: Facts,
    class_names: tuple[str, ...] | None,
    format_: Format,
    claim: Claim = UNCOUNTED,
) -> Examples:
    """Examples from a body in JSON, or with rows of texts.

    JSON has `instances` and, where they are known, `predictions`, `probabilities` and the `tolerance`; CSV has the
    version's columns and, where they are known, `prediction` and one `probability_<class>` for each class.

    Raises:
        InvalidRows, InvalidRequest, MalformedBody, InvalidExamples.
    """
    if format_.named is None:
        return _from_json(parse_object(body, claim, KNOWN), facts, class_names, claim)
    names = frozenset(facts.schema.column_names)
    return _from_texts(format_.named(body, names, (PREDICTION, PROBABILITY), claim), facts, class_names)


def _from_json(body: dict[str, Raw], facts: Facts, class_names: tuple[str, ...] | None, claim: Claim) -> Examples:
    if body.keys() - set(KNOWN) or INSTANCES not in body:
        raise InvalidRequest(f'The body must have "instances", and may have {", ".join(KNOWN[1:])}.')
    values = {key: decode_whole(raw, claim) for key, raw in body.items()}
    for key in (INSTANCES, PREDICTIONS, PROBABILITIES):
        if not isinstance(values.get(key, []), list):
            raise InvalidRequest(f'"{key}" must be a list with one entry for each row.')
    outputs = {}
    if PREDICTIONS in values:
        meant = _class_by_name(facts.schema, class_names)
        outputs[usual_method(facts.methods)] = [meant(value) for value in values[PREDICTIONS]]
    if PROBABILITIES in values:
        outputs["predict_proba"] = values[PROBABILITIES]
    if _has_huge_numbers(outputs):
        raise InvalidExamples("An expected output is a number that is out of range.")
    rows = tuple(read_rows(facts.schema, values[INSTANCES]))
    tolerance = _tolerance(values.get(TOLERATED, TOLERANCE))
    return Examples(rows=rows, outputs=outputs, given=tuple(outputs), tolerance=tolerance)


def _tolerance(value: Any) -> float:
    try:
        return float(value) if is_number(value) else math.nan
    except OverflowError:
        return math.inf


def _has_huge_numbers(value: Any) -> bool:
    """Whether there is an integer anywhere that JSON can carry and a database or a float cannot."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return any(_has_huge_numbers(part) for part in parts)
    return isinstance(value, int) and not INT64[0] <= value <= INT64[1]


def _from_texts(rows: list[TextRow], facts: Facts, class_names: tuple[str, ...] | None) -> Examples:
    names = frozenset(facts.schema.column_names)
    expected = [take_outputs(row, names) for row in rows]
    columns = tuple(read_rows(facts.schema, rows, read_text_cell))
    outputs: dict[str, list[Any]] = {}
    if PREDICTION in expected[0]:
        meant = _prediction_of_text(facts, class_names)
        outputs[usual_method(facts.methods)] = [meant(entry[PREDICTION].strip()) for entry in expected]
    if any(name.startswith(PROBABILITY) for name in expected[0]):
        in_order = _probability_names(facts.schema, class_names, expected[0])
        outputs["predict_proba"] = [[_number(entry[name]) for name in in_order] for entry in expected]
    return Examples(rows=columns, outputs=outputs, given=tuple(outputs))


def take_outputs(row: TextRow, columns: Collection[str]) -> dict[str, str]:
    """The cells of a row that are outputs and none of the columns, taken out of it."""
    if isinstance(row, list):
        return {}
    outputs = [name for name in row if name == PREDICTION or name.startswith(PROBABILITY)]
    return {name: row.pop(name) for name in outputs if name not in columns}


def _class_by_name(schema: Schema, class_names: tuple[str, ...] | None) -> Callable[[Any], Any]:
    """A way from an expected output to the class it means, since people may write names of classes."""
    if class_names is None or schema.classes is UNSET:
        return _unchanged
    by_name = dict(zip(class_names, schema.classes, strict=True))
    known = set(schema.classes)
    return lambda value: value if not isinstance(value, str) or value in known else by_name.get(value, value)


def _unchanged(value: Any) -> Any:
    return value


def _prediction_of_text(facts: Facts, class_names: tuple[str, ...] | None) -> Callable[[str], Any]:
    """A way from the text of an expected output to its value."""
    if facts.schema.classes is not UNSET:
        by_text = dict(_classes_by_text(facts.schema, class_names))
        return lambda text: _looked_up(by_text, text)
    if [output.type for output in facts.schema.outputs] in (["number"], ["integer"]):
        return _number
    raise InvalidExamples("Outputs like this version's cannot be given in CSV. Give the examples in JSON.")


def _classes_by_text(schema: Schema, class_names: tuple[str, ...] | None) -> list[tuple[str, Any]]:
    classes = () if schema.classes is UNSET else schema.classes
    if any(isinstance(label, tuple) for label in classes):
        raise InvalidExamples("Outputs of several columns cannot be given in CSV. Give the examples in JSON.")
    named = list(zip(class_names or (), classes, strict=False))
    return [*named, *((text_of(label), label) for label in classes)]


def _looked_up(by_text: dict[str, Any], text: str) -> Any:
    """The class that a text means; numbers and truth may be written in other ways than JSON does."""
    if text in by_text:
        return by_text[text]
    same = (label for label in by_text.values() if _means(text, label))
    if (label := next(same, None)) is None:
        raise InvalidExamples(f"An expected prediction is none of the classes: {', '.join(list(by_text)[:20])}.")
    return label


def _means(text: str, label: Any) -> bool:
    if isinstance(label, bool):
        return text.lower() == str(label).lower()
    return is_number(label) and bool(NUMBER.fullmatch(text)) and float(text) == label


def _probability_names(schema: Schema, class_names: tuple[str, ...] | None, given: dict[str, str]) -> list[str]:
    """The names of the columns that hold probabilities, in the order of the classes."""
    by_class: dict[Any, list[str]] = {}
    for text, label in _classes_by_text(schema, class_names):
        by_class.setdefault(label, []).append(PROBABILITY + text)
    names = [next((name for name in names if name in given), "") for names in by_class.values()]
    others = {name for name in given if name.startswith(PROBABILITY)} - set(names)
    if not names or not all(names) or others:
        wanted = ", ".join(options[0] for options in list(by_class.values())[:20])
        raise InvalidExamples(f"Of the probabilities one column for each class is needed, and no other: {wanted}.")
    return names


def _number(text: str) -> float:
    if not NUMBER.fullmatch(text):
        raise InvalidExamples("An expected output is not a number.")
    return float(text)


def show_examples(examples: Examples, schema: Schema, methods: tuple[str, ...]) -> ShownExamples:
    """Examples as they are answered: rows by name, and the outputs with where they come from."""
    names = schema.column_names
    rows: list[Any] = [dict(zip(names, row, strict=True)) for row in examples.rows]
    usual = usual_method(methods)
    keys = {usual: PREDICTIONS, "predict_proba": PROBABILITIES}
    return ShownExamples(
        instances=[row[0] for row in examples.rows] if schema.text else rows,
        predictions=examples.outputs.get(usual, UNSET),
        probabilities=examples.outputs.get("predict_proba", UNSET),
        given=[keys[method] for method in examples.given],
        tolerance=examples.tolerance,
    )
