"""What the whole numbers in an ONNX program can be, so that none of its operators overflows or divides by zero.

A processor traps where an integer is divided by zero, and where the least one is divided by -1.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

#: The least and the largest of some whole numbers.
Range = tuple[int, int]
LIMITS: dict[int, Range] = {
    kind: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for kind, dtype in ((TensorProto.INT32, np.int32), (TensorProto.INT64, np.int64))
}


def full(kind: int) -> Range:
    """All numbers of an element type."""
    return LIMITS[kind]


def holds(kind: int, numbers: Range) -> bool:
    """Whether an element type has a place for each of these numbers."""
    least, largest = LIMITS[kind]
    return least <= numbers[0] and numbers[1] <= largest


def of_constant(values: NDArray[Any]) -> Range | None:
    """The range of a constant; None if it is empty."""
    return (int(values.min()), int(values.max())) if values.size else None


def of_result(operator: str, inputs: Sequence[Range | None]) -> Range | None:
    """What an operator makes of whole numbers; None if it divides by zero, or nothing is known."""
    known = [one for one in inputs if one is not None]
    if not known or len(known) != len(inputs):
        return None
    if operator in ONE:
        return ONE[operator](known[0])
    if operator == "Div":
        return _quotient(*known)
    return reduce(TWO[operator], known) if operator in TWO else None


def hull(one: Range, other: Range) -> Range:
    """The numbers of both, and what is between them."""
    return min(one[0], other[0]), max(one[1], other[1])


def _product(one: Range, other: Range) -> Range:
    corners = [a * b for a in one for b in other]
    return min(corners), max(corners)


def _quotient(one: Range, other: Range) -> Range | None:
    """No quotient is further from zero than what is divided."""
    if other[0] <= 0 <= other[1]:
        return None
    furthest = max(abs(one[0]), abs(one[1]))
    return -furthest, furthest


def _absolute(one: Range) -> Range:
    return 0, max(abs(one[0]), abs(one[1]))


ONE: dict[str, Callable[[Range], Range]] = {
    "Abs": _absolute,
    "Neg": lambda one: (-one[1], -one[0]),
    "Relu": lambda one: (max(0, one[0]), max(0, one[1])),
    "Sign": lambda _one: (-1, 1),
}
TWO: dict[str, Callable[[Range, Range], Range]] = {
    "Add": lambda one, other: (one[0] + other[0], one[1] + other[1]),
    "Sub": lambda one, other: (one[0] - other[1], one[1] - other[0]),
    "Mul": _product,
    "Max": lambda one, other: (max(one[0], other[0]), max(one[1], other[1])),
    "Min": lambda one, other: (min(one[0], other[0]), min(one[1], other[1])),
    "Where": hull,
    "Concat": hull,
}
