"""Encoders: categories become column numbers of a sparse matrix."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from model_store.formats.rules import Breach, Found
from model_store.formats.skops.values.walk import Place


def categories_and_columns_agree(place: Place) -> Iterator[Found]:
    """A category's number is a column, so there must be as many columns as categories say."""
    encoder = place.value
    if not hasattr(encoder, "categories_"):
        return
    number = len(encoder.categories_)
    if not all(len(part) == number for part in (encoder._n_features_outs, *_parts(encoder, number))):
        raise Breach(place.where, "The encoder has not one entry for each column.")
    columns = zip(encoder.categories_, *_parts(encoder, number), encoder._n_features_outs, strict=True)
    if not all(_agree(*column) for column in columns):
        yield Found(place.where, "The encoder has not as many columns as its categories need.")


def targets_and_categories_agree(place: Place) -> Iterator[Found]:
    """A category's number is looked up among the encodings."""
    encoder = place.value
    for encoding, categories in zip(getattr(encoder, "encodings_", ()), _repeated(encoder), strict=False):
        if np.shape(encoding) != np.shape(categories):
            yield Found(place.where, "The encoder has not one encoding for each category.")


def _repeated(encoder: Any) -> list[Any]:
    """The categories of each encoding: with several classes, each column has one encoding for each class."""
    categories = list(getattr(encoder, "categories_", ()))
    encodings = len(getattr(encoder, "encodings_", ()))
    times = encodings // len(categories) if categories else 0
    return [part for part in categories for _ in range(times)]


def _parts(encoder: Any, number: int) -> tuple[Any, Any, Any]:
    """For each column: which categories are infrequent, how that maps them, and which is dropped."""
    nothing = [None] * number
    drops = encoder._drop_idx_after_grouping
    if not encoder._infrequent_enabled:
        return nothing, nothing, nothing if drops is None else drops
    return (
        encoder._infrequent_indices,
        encoder._default_to_infrequent_mappings,
        nothing if drops is None else drops,
    )


def _agree(categories: Any, infrequent: Any, mapping: Any, drop: Any, columns: Any) -> bool:
    """Whether the numbers of one column's categories stay within its columns."""
    after = len(categories)
    if (infrequent is None) != (mapping is None):
        return False
    if infrequent is not None:
        after = after - len(infrequent) + 1
        grouped = _are_indices(infrequent, len(categories)) and len(np.unique(infrequent)) == len(infrequent) > 0
        if not grouped or not _are_indices(mapping, after) or len(mapping) != len(categories):
            return False
    if drop is not None and not 0 <= int(drop) < after:
        return False
    return int(columns) == after - (drop is not None)


def _are_indices(values: Any, below: int) -> bool:
    array = np.asarray(values)
    return array.dtype.kind in "iu" and array.ndim == 1 and bool(((array >= 0) & (array < below)).all())
