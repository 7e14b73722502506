"""Rows like those that an estimator was fitted on, as far as what it keeps says where these lay."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.acceleration.origins import columns, inside
from model_store.estimators.structure import VECTORIZERS
from model_store.formats.skops.values.walk import walk
from model_store.schema import Column, Scalar, Schema

#: How many rows are made, and of how many values of a column.
ROWS, VALUES = 32, 200
#: Estimators inside that are looked at, values that are taken from a column of each, and columns of a table for
#: which this is done at all: what a feature was before a scaler takes time for each.
INSIDE, TAKEN, WIDEST = 10, 16, 300
#: Words of a text.
WORDS = 5
#: Numbers that are tried where nothing is known.
PLAIN = (0.0, 1.0, -1.0, 0.5, 10.0)
Array = NDArray[np.float64]


def typical_rows(estimator: Any, schema: Schema) -> list[list[Scalar]]:
    """Rows of values in the order of the columns; the same ones each time.

    Args:
        estimator: fitted, of scikit-learn or one that describes itself.
        schema: of it.
    """
    random = np.random.default_rng(0)
    if schema.text:
        words = _words(estimator)
        return [[" ".join(random.choice(words, WORDS))] for _ in range(ROWS)] if words else []
    numbers: list[list[Array]] = [[] for _ in schema.inputs]
    narrow = len(schema.inputs) <= WIDEST
    for inner, features in islice(inside(estimator, columns(len(schema.inputs))), INSIDE if narrow else 0):
        for feature, values in _kept(inner):
            origin = features[feature] if feature < len(features) else None
            finite = values[np.isfinite(values)]
            if origin is not None and len(finite):
                numbers[origin.column].append(
                    origin.back(random.choice(finite, min(TAKEN, len(finite)), replace=False))
                )
    choices = [_values(column, found, random) for column, found in zip(schema.inputs, numbers, strict=True)]
    return [[values[random.integers(len(values))] for values in choices] for _ in range(ROWS)]


def _values(column: Column, found: list[Array], random: np.random.Generator) -> list[Scalar]:
    """Values that a column can have."""
    if isinstance(column.categories, tuple) and column.categories:
        return [value for value in column.categories[:VALUES] if value is not None] or [column.sample]
    if column.type == "boolean":
        return [True, False]
    if column.type not in ("number", "integer", "any") or not isinstance(column.sample, int | float | None):
        return [column.sample]
    known = np.concatenate(found) if found else np.array([])
    chosen = known if len(known) <= VALUES else random.choice(known, VALUES, replace=False)
    whole = [*chosen.tolist(), *([] if column.sample is None else [column.sample])] if len(chosen) else list(PLAIN)
    return [round(value) for value in whole] if column.type == "integer" else whole


def _kept(estimator: Any) -> Iterator[tuple[int, Array]]:
    """Column -> numbers that lie where the rows lay."""
    tree = getattr(estimator, "tree_", None)
    if tree is not None:
        inner = tree.feature >= 0
        for column in np.unique(tree.feature[inner]).tolist():
            thresholds = tree.threshold[inner & (tree.feature == column)]
            yield column, np.concatenate([np.nextafter(thresholds, np.inf), thresholds])
    for name in ("support_vectors_", "_fit_X", "X_fit_", "X_train_", "cluster_centers_", "theta_", "means_"):
        rows = getattr(estimator, name, None)
        if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind == "f":  # noqa: PLR2004
            yield from enumerate(rows[:VALUES].astype(np.float64).T)
    for name in ("data_min_", "data_max_", "statistics_"):
        values = getattr(estimator, name, None)
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            yield from enumerate(values[:, None])
    middle, width = (getattr(estimator, name, None) for name in ("mean_", "scale_"))
    if isinstance(middle, np.ndarray) and isinstance(width, np.ndarray) and middle.shape == width.shape:
        yield from enumerate(middle[:, None] + width[:, None] * np.linspace(-2, 2, 9))


def _words(estimator: Any) -> list[str]:
    """Words that a vectorizer knows."""
    kept = (getattr(p.value, "vocabulary_", None) for p in walk(estimator) if isinstance(p.value, VECTORIZERS))
    return [str(word) for vocabulary in kept if vocabulary for word in list(vocabulary)[:VALUES]]
