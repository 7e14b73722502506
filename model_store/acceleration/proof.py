"""Whether a program answers what its estimator answers: labels exactly, numbers within a tolerance."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.acceleration.report import Compared
from model_store.examples import PROBABILITIES
from model_store.outcomes import row_major

#: Rows that are compared one by one as well: a runtime may compute one row in another way than many.
SINGLY = 200
#: Calls of which the speed is the fastest.
TIMED, LEAST_TIMED = 50, 5
#: Of the numbers in a column, this part is not larger than what differences are measured by.
USUAL = 0.95
#: Seconds that timing takes at most.
TIMING = 1.0
Array = NDArray[Any]
Method = Callable[[Array], Any]


def compare(name: str, native: Method, program: Method, rows: Array) -> Compared:
    """A method of the estimator and of the program on the same rows, together and some of them one by one."""
    expected = _dense(native(rows))
    together = np.asarray(program(rows))
    every = max(1, len(rows) // SINGLY)
    alone = np.concatenate([np.asarray(program(rows[[index]])) for index in range(0, len(rows), every)])
    scale = _scale(name, expected)
    found = [_differences(expected, together, scale), _differences(expected[::every], alone, scale)]
    return Compared(
        method=name,
        rows=len(rows),
        mismatches=sum(mismatches for mismatches, _, _ in found),
        largest_absolute=max(absolute for _, absolute, _ in found),
        largest_relative=max(relative for _, _, relative in found),
    )


def _dense(result: Any) -> Array:
    return np.asarray(result.toarray() if hasattr(result, "toarray") else result)


def _scale(name: str, expected: Array) -> Any:
    """What differences are measured by: for probabilities 1, else what is large in a column.

    That is not the very largest, since some rows are made to lie far away.
    """
    if name == PROBABILITIES or expected.dtype.kind != "f":
        return 1.0
    return np.quantile(np.abs(np.where(np.isfinite(expected), expected, 0.0)), USUAL, axis=0)


def _differences(expected: Array, found: Array, scale: Any) -> tuple[int, float, float]:
    """Rows that differ in kind, and the largest difference of numbers, absolute and in parts of the scale."""
    if expected.shape != found.shape:
        return len(expected), 0.0, 0.0
    if expected.dtype.kind != "f" or found.dtype.kind != "f":
        return _unequal(expected, found), 0.0, 0.0
    finite = np.isfinite(expected) & np.isfinite(found)
    same = (expected == found) | (np.isnan(expected) & np.isnan(found))
    wrong = int(np.sum(~np.all((finite | same).reshape(len(expected), -1), axis=1)))
    difference = np.abs(np.where(finite, expected, 0.0) - np.where(finite, found, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(difference == 0, 0.0, difference / scale)
    return wrong, float(np.max(difference, initial=0.0)), float(np.max(relative, initial=0.0))


def _unequal(expected: Array, found: Array) -> int:
    """Rows whose labels an answer would show otherwise: 1, 1.0 and true are three things."""
    pairs = zip(row_major(expected)[0], row_major(found)[0], strict=True)
    return sum(one != other or type(one) is not type(other) for one, other in pairs)


def microseconds(call: Callable[[], Any]) -> float:
    """What one call takes, the fastest of many."""
    until = time.perf_counter() + TIMING
    taken: list[float] = []
    while len(taken) < TIMED and (len(taken) < LEAST_TIMED or time.perf_counter() < until):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return round(min(taken) * 1e6, 1)


def names_of(methods: Sequence[Compared]) -> tuple[str, ...]:
    """The methods that the program may answer."""
    return tuple(compared.method for compared in methods if compared.passes)
