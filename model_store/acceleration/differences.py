"""How two results of a method differ: labels as an answer shows them, numbers in parts of their own size."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_store.methods import row_major

#: Of the numbers in a column, this part is smaller than what differences are measured by.
SMALLEST = 0.05
#: Smaller numbers have fewer digits.
TINY = 1e-290
Array = NDArray[Any]


class Difference(NamedTuple):
    """Rows that differ in kind, and the largest difference of numbers, absolute and relative."""

    mismatches: int = 0
    absolute: float = 0.0
    relative: float = 0.0


def dense(result: Any) -> Array:
    """What a method gives as an array."""
    return np.asarray(result.toarray() if hasattr(result, "toarray") else result)


def smallest(expected: Array) -> Any:
    """The smallest usual size of the numbers in each column: smaller numbers are measured by this one."""
    if expected.dtype.kind != "f":
        return 0.0
    sizes = np.where(np.isfinite(expected) & (expected != 0), np.abs(expected), np.inf)
    found = np.quantile(sizes, SMALLEST, axis=0, method="lower")
    return np.where(np.isfinite(found), found, 0.0)


def usual_sizes(result: Any) -> tuple[float, ...]:
    """The same of rows near the data, to be kept: one for each column; none for labels."""
    expected = dense(result)
    return tuple(np.ravel(smallest(expected)).tolist()) if expected.dtype.kind == "f" else ()


def relative(expected: Array, found: Array, size: Any) -> Array:
    """The differences of numbers in parts of their own size, or of the smallest usual one."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        difference = np.abs(expected - found)
        return np.where(difference <= TINY, 0.0, difference / np.maximum(np.abs(expected), size))


def unequal(expected: Any, found: Any) -> NDArray[np.bool_]:
    """Which labels an answer would show otherwise: 1, 1.0 and true are three things."""
    pairs = zip(row_major(dense(expected))[0], row_major(dense(found))[0], strict=True)
    return np.array([one != other or type(one) is not type(other) for one, other in pairs], dtype=np.bool_)


def difference(expected: Array, found: Array, size: Any) -> Difference:
    """How what a program gives differs from what its estimator gives; `size` is from `smallest`."""
    if expected.shape != found.shape:
        return Difference(len(expected))
    if expected.dtype.kind != "f" or found.dtype.kind != "f":
        return Difference(int(np.sum(unequal(expected, found))))
    finite = np.isfinite(expected) & np.isfinite(found)
    same = (expected == found) | (np.isnan(expected) & np.isnan(found))
    wrong = int(np.sum(~np.all((finite | same).reshape(len(expected), -1), axis=1)))
    expected, found = np.where(finite, expected, 0.0), np.where(finite, found, 0.0)
    absolute = float(np.max(np.abs(expected - found), initial=0.0))
    return Difference(wrong, absolute, float(np.max(relative(expected, found, size), initial=0.0)))
