"""What is known of a tensor before a program runs: its elements, its width, and what whole numbers can be."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from model_store.formats.onnx.checks import shape_of, type_of
from model_store.formats.onnx.ensembles import Attributes
from model_store.formats.onnx.ranges import Range, of_constant

#: Characters of a label that a row's answer may repeat.
MAX_TEXT = 256
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
WHOLE = (TensorProto.INT32, TensorProto.INT64)
NUMBERS = (*FLOATS, *WHOLE, TensorProto.BOOL)
TEXTS = (TensorProto.STRING,)
#: Element types of constants; others are known to no operator here.
KINDS: dict[Any, int] = {
    np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.int32): TensorProto.INT32, np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.bool_): TensorProto.BOOL, np.dtype(np.object_): TensorProto.STRING,
}  # fmt: skip


class Unbounded(ValueError):
    """The program does something whose size or sense cannot be told beforehand."""


class Tensor(NamedTuple):
    """What a tensor is like: rows x `width` values, one value a row (width None), or a constant.

    Attributes:
        kind: the type of its elements, as in TensorProto.
        constant: its values, if they are the same for all rows.
        within: of whole numbers, what they can be.
        lying: whether it is 1 x rows.
    """

    kind: int
    width: int | None = None
    constant: NDArray[Any] | None = None
    within: Range | None = None
    lying: bool = False

    @property
    def values(self) -> int:
        """How many values there are for a row."""
        return self.width or 1


class Node(NamedTuple):
    """A node: its operator and the operator's attributes."""

    op_type: str
    attributes: Attributes


Rule = Callable[[Node, list[Tensor]], Sequence[Tensor]]
Work = Callable[[Node, list[Tensor], Sequence[Tensor]], int]


def constant_of(values: NDArray[Any]) -> Tensor:
    """The tensor of a constant. Its kind is UNDEFINED if no operator here knows it."""
    kind = KINDS.get(values.dtype, TensorProto.UNDEFINED)
    whole = kind in (*WHOLE, TensorProto.BOOL)
    return Tensor(kind, constant=values, within=of_constant(values) if whole else None)


def entering(value: Any) -> Tensor:
    """The tensor of an input: rows x columns of floats. Raises Unbounded."""
    shape = shape_of(value)
    if type_of(value) not in FLOATS or shape is None or len(shape) != 2 or not shape[1] or shape[0] is not None:  # noqa: PLR2004
        raise Unbounded("an input is not a table of numbers with any number of rows")
    return Tensor(type_of(value), shape[1])


def truth(width: int | None = None) -> Tensor:
    """A tensor of booleans."""
    return Tensor(TensorProto.BOOL, width, within=(0, 1))
