"""What two versions answer for the same rows, held against each other."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import UNSET, Struct, UnsetType

from model_store.proof.examples import TOLERANCE, agree, is_number, shortened
from model_store.schema import Classes, Scalar

#: Rows that disagree which a comparison shows.
SHOWN = 20
#: Labels up to which a confusion is shown.
MOST_LABELS = 100
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


class Answered(Struct, frozen=True, kw_only=True):
    """What one version answered.

    Attributes:
        predictions: one entry for each row.
        probabilities: rows x classes, where there are any.
        classes: of the version.
    """

    predictions: list[Any]
    probabilities: Any = None
    classes: Classes | UnsetType = UNSET


class Disagreement(Struct, frozen=True):
    """A row for which two versions answered differently."""

    row: int
    a: Any
    b: Any


class Confusion(Struct, frozen=True):
    """How often each label of one version met each label of the other: `counts[a][b]`."""

    labels: list[Scalar]
    counts: list[list[int]]


class Comparison(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Two versions on the same rows.

    Attributes:
        agreement: the share of rows with equal answers; numbers are equal within the tolerance.
        confusion: of the labels, where both versions give some.
        differences: quantiles of `b - a`, where both give numbers.
        largest_probability_change: the row and class with the largest change, among the classes that both know.
        disagreements: the first rows that disagree.
    """

    rows: int
    agreement: float
    tolerance: float
    confusion: Confusion | None = None
    differences: dict[str, float] | None = None
    largest_probability_change: dict[str, Any] | None = None
    disagreements: list[Disagreement]


def compare(a: Answered, b: Answered, tolerance: float = TOLERANCE) -> Comparison:
    """Hold the answers of two versions for the same rows against each other."""
    pairs = list(zip(a.predictions, b.predictions, strict=True))
    labelled = _is_labelled(a) and _is_labelled(b)
    near = 0.0 if labelled else tolerance
    wrong = [row for row, (one, other) in enumerate(pairs) if not agree(one, other, near)]
    return Comparison(
        rows=len(pairs),
        agreement=1.0 - len(wrong) / len(pairs),
        tolerance=near,
        confusion=_confusion(pairs) if labelled else None,
        differences=None if labelled else _differences(pairs),
        largest_probability_change=_probability_change(a, b),
        disagreements=[Disagreement(row, *map(shortened, pairs[row])) for row in wrong[:SHOWN]],
    )


def _is_labelled(answered: Answered) -> bool:
    """Whether each prediction is one label."""
    one_list = answered.classes is not UNSET and not any(isinstance(label, tuple) for label in answered.classes)
    return one_list and not any(isinstance(prediction, list) for prediction in answered.predictions)


def _key(label: Any) -> tuple[bool, Any]:
    """A label in a form in which true is not 1."""
    return isinstance(label, bool), label


def _confusion(pairs: Sequence[tuple[Any, Any]]) -> Confusion | None:
    counted = Counter((_key(one), _key(other)) for one, other in pairs)
    labels = sorted({label for pair in counted for label in pair}, key=lambda key: (str(type(key[1])), key[1]))
    if len(labels) > MOST_LABELS:
        return None
    counts = [[counted[one, other] for other in labels] for one in labels]
    return Confusion([label for _, label in labels], counts)


def _differences(pairs: Sequence[tuple[Any, Any]]) -> dict[str, float] | None:
    """Quantiles over all rows and outputs; None where something is not a number."""
    changes: list[float] = []
    for one, other in pairs:
        values, others = (entry if isinstance(entry, list) else [entry] for entry in (one, other))
        if len(values) != len(others) or not all(is_number(value) for value in (*values, *others)):
            return None
        changes += [after - before for before, after in zip(values, others, strict=True)]
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.quantile(changes, QUANTILES)
    if not np.isfinite(found).all():
        return None
    return {f"{quantile:g}": value for quantile, value in zip(QUANTILES, found.tolist(), strict=True)}


def _probability_change(a: Answered, b: Answered) -> dict[str, Any] | None:
    if a.probabilities is None or b.probabilities is None or not (_is_labelled(a) and _is_labelled(b)):
        return None
    places, others = ({_key(label): index for index, label in enumerate(side.classes or ())} for side in (a, b))
    shared = [label for label in places if label in others]
    if not shared:
        return None
    change = b.probabilities[:, [others[label] for label in shared]]
    change = change - a.probabilities[:, [places[label] for label in shared]]
    if not np.isfinite(change).all():
        return None
    row, column = np.unravel_index(np.abs(change).argmax(), change.shape)
    return {"row": int(row), "class": shared[column][1], "change": float(change[row, column])}
