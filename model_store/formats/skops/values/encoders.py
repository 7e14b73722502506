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
    try:
        counts = encoder._compute_n_features_outs() if hasattr(encoder, "_n_features_outs") else None
        infrequent = _infrequent_fault(encoder)
    except Exception as error:
        raise Breach(place.where, "The categories of the encoder do not fit each other.") from error
    if infrequent or (counts is not None and list(counts) != list(encoder._n_features_outs)):
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


def _infrequent_fault(encoder: Any) -> bool:
    """Whether a category is mapped to a column beyond its own."""
    maps = getattr(encoder, "_default_to_infrequent_mappings", None) or ()
    for mapping, categories in zip(maps, encoder.categories_, strict=False):
        if mapping is not None and (len(mapping) != len(categories) or mapping.min() < 0):
            return True
        if mapping is not None and mapping.max() >= len(np.unique(mapping)):
            return True
    return False
