"""How well a version answers its examples: right and wrong labels, residuals, the distribution of its scores."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec import Struct

from model_store.methods import usual_method
from model_store.proof.comparison import Answered, Confusion, compare
from model_store.proof.examples import PROBABILITIES, Examples, is_number
from model_store.schema import Schema

BINS = 10


class Histogram(Struct, frozen=True):
    """How many values lie between each pair of neighbouring edges."""

    of: str
    edges: list[float]
    counts: list[int]


class Quality(Struct, frozen=True, kw_only=True):
    """What the examples say about a version.

    Attributes:
        rows: how many examples there are.
        accuracy: the share of labels that are the expected ones.
        confusion: how often each expected label (rows) was answered with each label (columns).
        residuals: answered minus expected, one for each example.
        expected: the outputs that were expected, beside the residuals.
        mean_absolute_error, root_mean_squared_error: of the residuals.
        scores: the distribution of the largest probability of each row, or of what was predicted.
    """

    rows: int
    accuracy: float | None = None
    confusion: Confusion | None = None
    residuals: list[float] | None = None
    expected: list[float] | None = None
    mean_absolute_error: float | None = None
    root_mean_squared_error: float | None = None
    scores: Histogram | None = None


def measure(examples: Examples, answers: Mapping[str, list[Any]], schema: Schema) -> Quality:
    """Hold the outputs that came with the examples against what the version answers.

    Args:
        examples: of the version.
        answers: method -> one entry for each row.
        schema: of the version.
    """
    usual = usual_method(list(answers))
    expected = examples.outputs[usual] if usual in examples.given else None
    scores = _scores(answers, usual)
    if expected is None:
        return Quality(rows=len(examples.rows), scores=scores)
    compared = compare(
        Answered(predictions=expected, classes=schema.classes),
        Answered(predictions=answers[usual], classes=schema.classes),
    )
    if compared.confusion is not None:
        return Quality(
            rows=compared.rows, accuracy=compared.agreement, confusion=compared.confusion, scores=scores
        )
    return _of_numbers(expected, answers[usual], scores)


def _of_numbers(expected: list[Any], answered: list[Any], scores: Histogram | None) -> Quality:
    if not all(map(is_number, [*expected, *answered])):
        return Quality(rows=len(expected), scores=scores)
    residuals = np.array(answered, dtype=float) - np.array(expected, dtype=float)
    return Quality(
        rows=len(expected),
        residuals=residuals.tolist(),
        expected=[float(value) for value in expected],
        mean_absolute_error=float(np.abs(residuals).mean()),
        root_mean_squared_error=float(math.sqrt((residuals**2).mean())),
        scores=scores,
    )


def _scores(answers: Mapping[str, list[Any]], usual: str) -> Histogram | None:
    """Of the largest probability in each row; of the predictions where those are numbers."""
    rows = answers.get(PROBABILITIES)
    if rows and all(isinstance(row, list) and row and all(map(is_number, row)) for row in rows):
        return _histogram("largest probability", [max(row) for row in rows], (0.0, 1.0))
    values = answers[usual]
    if PROBABILITIES in answers or not all(map(is_number, values)):
        return None
    return _histogram("prediction", values, None)


def _histogram(of: str, values: list[float], range_: tuple[float, float] | None) -> Histogram | None:
    try:
        counts, edges = np.histogram(np.array(values, dtype=float), BINS, range_)
    except ValueError:  # numbers so far apart that there are no bins between them
        return None
    return Histogram(of, edges.tolist(), counts.tolist())
