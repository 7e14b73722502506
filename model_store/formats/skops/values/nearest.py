"""Nearest neighbours: what was fitted on must be as large as it claims, and search trees are built anew."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier

from model_store.formats.rules import Breach, Found
from model_store.formats.skops.values.walk import Place


def neighbours_are_as_many_as_they_claim(place: Place) -> Iterator[Found]:
    """The search reads rows by the width of the request, and classes by the numbers of the labels."""
    model = place.value
    rows = getattr(model, "_fit_X", None)
    if rows is None:
        return
    if not (isinstance(rows, np.ndarray) or sparse.issparse(rows)) or rows.ndim != 2:  # noqa: PLR2004
        raise Breach(place.where, "The rows that the model was fitted on are not a table.")
    if rows.shape[1] != model.n_features_in_ or rows.shape[0] != model.n_samples_fit_:
        yield Found(place.where, "The model has not as many rows or columns as it claims.")
    elif is_classifier(model) and not _labels_fit(model, rows.shape[0]):
        yield Found(place.where, "A label of a neighbour is not one of the classes.")


def nearest_neighbour_trees_are_built_anew(place: Place) -> Iterator[Found]:
    """A search tree from a file may point anywhere; one built from its rows is the same and does not."""
    try:
        rows, leaf_size, metric, weights = itemgetter(0, 4, 11, 12)(place.value.__getstate__())
        given = {} if weights is None or not np.size(weights) else {"sample_weight": np.asarray(weights)}
        built = type(place.value)(np.asarray(rows), leaf_size=leaf_size, metric=metric, **given)
    except Exception as error:
        raise Breach(place.where, "The search tree cannot be built anew from its rows.") from error
    _put(place, built)
    yield Found(place.where, "The search tree is built anew from its rows on loading.", "normalised")


def _labels_fit(model: Any, rows: int) -> bool:
    several = isinstance(model.classes_, list)
    counts = [len(part) for part in model.classes_] if several else [len(model.classes_)]
    labels = np.asarray(model._y)
    if labels.dtype.kind not in "iu" or len(labels) != rows:
        return False
    columns = labels.T if labels.ndim == 2 else labels[None]  # noqa: PLR2004
    return len(columns) == len(counts) and all(
        column.min() >= 0 and column.max() < count for column, count in zip(columns, counts, strict=True)
    )


def _put(place: Place, value: Any) -> None:
    """Put a value in the place of another."""
    if isinstance(place.owner, dict | list):
        place.owner[place.key] = value
    else:
        setattr(place.owner, place.key, value)
