"""Whether the answers of an estimator make sense: an entry for each row, real probabilities, known labels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from model_store.described import SelfDescribed
from model_store.errors import Implausible
from model_store.estimators.outputs import is_missing, scalars
from model_store.formats.skops.values.walk import walk
from model_store.schema import Scalar, Schema

#: How far probabilities may be from 0, from 1 and from adding up to 1; programs compute in single precision.
TOLERANCE = 1e-3
NUMBERS = "biuf"
#: Kinds of arrays whose values an answer can carry; objects are looked at one by one.
CARRIED = "biufUMO"
CONTAINERS = (dict, list, tuple, set, np.ndarray)
TWO = 2
Array = NDArray[Any]


class Expected(NamedTuple):
    """What the answers of an estimator must be like.

    Attributes:
        schema: of the estimator.
        others: labels besides the classes, which it gives to outliers; these have no probabilities.
        adds_up: whether the probabilities of a row add up to 1.
    """

    schema: Schema
    others: frozenset[Scalar]
    adds_up: bool


def expected_of(estimator: Any, schema: Schema) -> Expected:
    """What is to be expected of a fitted estimator."""
    if isinstance(estimator, SelfDescribed):
        return Expected(schema, frozenset(), estimator.adds_up)
    labels = (getattr(place.value, "outlier_label_", None) for place in walk(estimator))
    return Expected(schema, frozenset(scalar for one in labels if one is not None for scalar in _flat(one)), True)


def faults_in(results: Mapping[str, Any], rows: int, expected: Expected) -> dict[str, list[str]]:
    """What does not make sense in the results of methods for so many rows: method -> each thing as a sentence."""
    several = "predict" not in results or _is_multilabel(results["predict"])
    found = {method: _faults(method, result, rows, expected, several) for method, result in results.items()}
    return {method: faults for method, faults in found.items() if faults}


def check_sense(results: Mapping[str, Any], rows: int, expected: Expected) -> None:
    """Raises Implausible if something does not make sense in the results of methods for so many rows."""
    if found := faults_in(results, rows, expected):
        raise Implausible(" ".join(chain.from_iterable(found.values())))


def _faults(method: str, result: Any, rows: int, expected: Expected, several: bool) -> list[str]:
    parts = [_dense(part) for part in (result if isinstance(result, list) else [result])]
    if any(part.ndim < 1 or len(part) != rows for part in parts):
        return [f"{method} does not give one entry for each row."]
    if any(map(_is_strange, parts)):
        return [f"{method} gives something else than numbers, texts, booleans and dates."]
    return list(LOOKS.get(method, _nothing)(method, parts, expected, several))


def _probabilities(method: str, parts: Sequence[Array], expected: Expected, several: bool) -> Iterator[str]:
    for part, count in zip(parts, _widths(expected.schema, len(parts)), strict=False):
        if part.dtype.kind not in NUMBERS:
            yield f"{method} gives something else than numbers."
            continue
        values = part[:, None] if part.ndim == 1 else part
        if count is not None and values.shape[1] != count:
            yield f"{method} gives rows of {values.shape[1]}, and there are {count} classes."
        yield from _range(method, values.astype(np.float64))
        if expected.adds_up and not several and (count is not None or values.shape[1] > 1):
            yield from _sums(method, values.astype(np.float64), bool(expected.others))


def _logarithms(method: str, parts: Sequence[Array], expected: Expected, several: bool) -> Iterator[str]:
    if all(part.dtype.kind in NUMBERS for part in parts):
        with np.errstate(over="ignore"):
            parts = [np.exp(part.astype(np.float64)) for part in parts]
    for fault in _probabilities(method, parts, expected, several):
        yield f"{fault} (after taking exponentials)"


def _range(method: str, values: Array) -> Iterator[str]:
    known = values[~np.isnan(values)]
    wrong = known[(known < -TOLERANCE) | (known > 1 + TOLERANCE)]
    if len(wrong):
        yield f"{method} gives {wrong[0]:.6g}, and a probability lies between 0 and 1."


def _sums(method: str, values: Array, outliers: bool) -> Iterator[str]:
    sums = values.reshape(len(values), -1).sum(axis=1)
    wrong = sums[(np.abs(sums - 1) > TOLERANCE) & ~(outliers & (sums == 0))]  # NaN is not larger
    if len(wrong):
        yield f"{method} gives probabilities that add up to {wrong[0]:.6g}, and not to 1."


def _widths(schema: Schema, parts: int) -> list[int | None]:
    """How many classes each output has, None where that is not known."""
    classes = schema.classes
    if classes is UNSET:
        return [None] * parts
    if parts == 1:
        return [len(classes)]
    return [len(labels) if isinstance(labels, tuple) else None for labels in classes]


def _labels(method: str, parts: Sequence[Array], expected: Expected, _several: bool) -> Iterator[str]:
    """Labels are among the classes; what is said to be a number is one."""
    values, schema = parts[0], expected.schema
    width = 1 if values.ndim == 1 else values.shape[1]
    columns = values.reshape(len(values), -1).T
    types = {output.type for output in schema.outputs}
    if len(schema.outputs) > 1 and width != len(schema.outputs):
        yield f"{method} gives rows of {width}, and there are {len(schema.outputs)} outputs."
    elif schema.classes is not UNSET:
        known = _known_labels(schema, width)
        pairs = zip(columns, known, strict=False)
        if not all(set(_present(column)) <= {*labels, *expected.others} for column, labels in pairs):
            yield f"{method} gives a label that is not among the classes."
    elif types and types <= {"number", "integer"} and values.dtype.kind not in NUMBERS:
        yield f"{method} gives something else than numbers."


def _known_labels(schema: Schema, width: int) -> list[tuple[Scalar, ...]]:
    """The labels that each column of predictions can have."""
    classes: Any = schema.classes
    if classes and isinstance(classes[0], tuple):
        return list(classes)
    return [classes] if width == 1 else [(0, 1)] * width  # of a multilabel classifier each class has a column


def _deviations(method: str, parts: Sequence[Array], _expected: Expected, _several: bool) -> Iterator[str]:
    if any(part.dtype.kind not in NUMBERS or (part < 0).any() for part in parts):
        yield f"{method} gives a standard deviation below 0."


def _nothing(_method: str, _parts: Sequence[Array], _expected: Expected, _several: bool) -> Iterator[str]:
    return iter(())


Look = Callable[[str, Sequence[Array], Expected, bool], Iterator[str]]
#: Method -> what is looked at besides the number and the kind of its entries.
LOOKS: dict[str, Look] = {
    "predict": _labels,
    "predict_proba": _probabilities,
    "predict_log_proba": _logarithms,
    "predict_std": _deviations,
}


def _is_multilabel(predicted: Any) -> bool:
    """Whether a row has several labels, so that the probabilities of these have nothing to add up to."""
    shape = np.shape(predicted) if not hasattr(predicted, "shape") else predicted.shape
    return len(shape) == TWO and shape[1] > 1


def _dense(part: Any) -> Array:
    return np.asarray(part.toarray() if hasattr(part, "toarray") else part)


def _is_strange(part: Array) -> bool:
    if part.dtype.kind == "O":
        return any(isinstance(value, CONTAINERS) for value in part.ravel().tolist())
    return part.dtype.kind not in CARRIED


def _present(values: Array) -> list[Scalar]:
    return [value for value in scalars(values) if not is_missing(value)]


def _flat(labels: Any) -> list[Scalar]:
    return scalars(np.ravel(labels))
