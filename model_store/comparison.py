"""What two versions answer for the same rows, held against each other."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import UNSET, Struct, UnsetType

from model_store.examples import TOLERANCE, agree, is_number
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
        probabilities: one list for each row, in the order of the classes, where there are any.
        classes: of the version.
    """

    predictions: list[Any]
    probabilities: list[Any] | None = None
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
    wrong = [
        Disagreement(row, one, other) for row, (one, other) in enumerate(pairs) if not agree(one, other, tolerance)
    ]
    labelled = _is_labelled(a) and _is_labelled(b)
    return Comparison(
        rows=len(pairs),
        agreement=1.0 - len(wrong) / len(pairs),
        tolerance=tolerance,
        confusion=_confusion(pairs) if labelled else None,
        differences=None if labelled else _differences(pairs),
        largest_probability_change=_probability_change(a, b),
        disagreements=wrong[:SHOWN],
    )


def _is_labelled(answered: Answered) -> bool:
    """Whether each prediction is one label."""
    classes = answered.classes
    return classes is not UNSET and not any(isinstance(label, tuple) for label in classes)


def _confusion(pairs: Sequence[tuple[Any, Any]]) -> Confusion | None:
    counted = Counter(pairs)
    labels = sorted({label for pair in counted for label in pair}, key=lambda label: (str(type(label)), label))
    if len(labels) > MOST_LABELS:
        return None
    return Confusion(labels, [[counted[one, other] for other in labels] for one in labels])


def _differences(pairs: Sequence[tuple[Any, Any]]) -> dict[str, float] | None:
    """Quantiles over all rows and outputs; None where something is not a number."""
    changes: list[float] = []
    for one, other in pairs:
        values, others = (entry if isinstance(entry, list) else [entry] for entry in (one, other))
        if len(values) != len(others) or not all(is_number(value) for value in (*values, *others)):
            return None
        changes += [after - before for before, after in zip(values, others, strict=True)]
    found = np.quantile(changes, QUANTILES).tolist()
    return {f"{quantile:g}": value for quantile, value in zip(QUANTILES, found, strict=True)}


def _probability_change(a: Answered, b: Answered) -> dict[str, Any] | None:
    if a.probabilities is None or b.probabilities is None or not (_is_labelled(a) and _is_labelled(b)):
        return None
    classes, others = list(a.classes or ()), list(b.classes or ())
    shared = [label for label in classes if label in others]
    if not shared:
        return None
    one = np.array(a.probabilities, dtype=float)[:, [classes.index(label) for label in shared]]
    other = np.array(b.probabilities, dtype=float)[:, [others.index(label) for label in shared]]
    change = other - one
    if not np.isfinite(change).all():
        return None
    row, column = np.unravel_index(np.abs(change).argmax(), change.shape)
    return {"row": int(row), "class": shared[column], "change": float(change[row, column])}
