"""The methods that an estimator may have, and what they give: one entry for each row that JSON can carry."""

from collections.abc import Sequence
from typing import Any

import numpy as np

#: Everything a request may ask for; a client's word is compared with this list and never looked up.
METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "transform",
    "kneighbors",
    "predict_std",
)


def row_major(result: Any) -> tuple[list[Any], bool]:
    """A result as one entry per row, non-finite numbers as None, and whether all were finite.

    Args:
        result: an array, a list of arrays (one for each output), or one list entry for each row.

    Several outputs with probabilities of their own come as one array each and leave as
    `[[[…], […]], …]`: row, output, class.
    """
    if isinstance(result, np.ndarray):
        return _finite_list(result)
    if result and isinstance(result[0], np.ndarray):
        parts = [_finite_list(part) for part in result]
        rows = [list(row) for row in zip(*(values for values, _ in parts), strict=True)]
        return rows, all(finite for _, finite in parts)
    return result, True


def _finite_list(array: np.ndarray[Any, Any]) -> tuple[list[Any], bool]:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist(), True
    objects = array.astype(object)
    objects[~np.isfinite(array)] = None
    return objects.tolist(), False


def usual_method(methods: Sequence[str]) -> str:
    """What a request without a method means: predict, or transform where there is no predict."""
    return next((name for name in ("predict", "transform") if name in methods), methods[0])
