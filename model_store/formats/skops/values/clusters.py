"""Clusters: compiled code compares rows with centers of, it trusts, the same width."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.cluster._bisect_k_means import _BisectingTree

from model_store.formats.rules import Found
from model_store.formats.skops.values.walk import Place


def centers_are_as_wide_as_their_owner(place: Place) -> Iterator[Found]:
    """Rows are checked against n_features_in_, and compared with centers by the width of the rows."""
    clusters = place.value
    centers = getattr(clusters, "cluster_centers_", None)
    if centers is None:
        return
    whole = isinstance(centers, np.ndarray) and centers.ndim == 2 and len(centers) > 0  # noqa: PLR2004
    if not whole or centers.shape[1] != clusters.n_features_in_ or centers.dtype.kind != "f":
        yield Found(place.where, "The centers of the clusters have another width than the rows.")


def bisections_are_as_wide_as_their_owner(place: Place) -> Iterator[Found]:
    """The same for the tree of centers that bisecting k-means descends."""
    width = getattr(place.value, "n_features_in_", None)
    waiting: list[Any] = [getattr(place.value, "_bisecting_tree", None)]
    while waiting:
        part = waiting.pop()
        if part is None:
            continue
        if not isinstance(part, _BisectingTree) or np.shape(part.center) != (width,):
            yield Found(place.where, "A center in the tree of clusters has another width than the rows.")
            return
        waiting += [part.left, part.right]
