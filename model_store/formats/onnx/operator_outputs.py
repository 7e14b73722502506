"""What the outputs of each operator are like, from what its inputs are like: one rule for each kind."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from model_store.formats.onnx.ranges import Range, full, holds, of_result
from model_store.formats.onnx.tensors import (
    FLOATS,
    NUMBERS,
    WHOLE,
    Node,
    Rule,
    Tensor,
    Unbounded,
    constant_of,
    truth,
)

#: Columns that a result may have.
MAX_WIDTH = 100_000
#: Operators that combine values to whether something is so.
TRUTHS = frozenset({"And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Or", "Xor"})


def same(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """One value for each value."""
    rows = _rows(inputs[0])
    if node.op_type in ("IsNaN", "Not"):
        return [truth(rows.width)._replace(lying=rows.lying)]
    return [rows._replace(within=_within(node, inputs))]


def _within(node: Node, inputs: list[Tensor]) -> Range | None:
    """What the whole numbers of a result can be, None for other numbers. Raises Unbounded if that is not known."""
    kind = inputs[-1].kind
    if kind not in WHOLE:
        return (0, 1) if kind == TensorProto.BOOL else None
    found = of_result(node.op_type, [one.within for one in inputs if one.kind == kind])
    if found is None or not holds(kind, found):
        raise Unbounded("whole numbers are combined to what they may have no place for")
    return found


def unchanged(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Rows as they come, of the same element type."""
    return [_rows(inputs[0])]


def along(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Each row for itself becomes one of the same width."""
    width_of(inputs[0])
    if node.attributes.get("axis", -1) not in (1, -1):
        raise Unbounded("rows are compared with one another")
    return [inputs[0]]


def normalized(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Normalizer: single precision whatever comes."""
    return [Tensor(TensorProto.FLOAT, width_of(inputs[0]))]


def _rows(tensor: Tensor) -> Tensor:
    if tensor.constant is not None:
        raise Unbounded("a constant stands where rows are expected")
    return tensor


def width_of(tensor: Tensor) -> int:
    """Columns of a tensor of rows. Raises Unbounded if it is none."""
    width = _rows(tensor).width
    if width is None:
        raise Unbounded("rows have no columns where columns are expected")
    return width


def elementwise(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Rows of one width or of one column, with constants of that width or of one number."""
    width = _spread(inputs)
    if node.op_type in TRUTHS:
        return [truth(width)]
    return [Tensor(inputs[-1].kind, width, within=_within(node, inputs))]


def _spread(inputs: list[Tensor]) -> int | None:
    """The width of what is combined."""
    rows = [one for one in inputs if one.constant is None]
    if not rows:
        raise Unbounded("a constant stands where rows are expected")
    if any(one.lying for one in rows):
        raise Unbounded("what lies is combined")
    width = max(rows, key=lambda one: one.width or 0).width
    if any(one.width not in (width, width and 1) for one in rows):
        raise Unbounded("tensors of different widths are combined")
    constants = [one.constant for one in inputs if one.constant is not None]
    if width == 1:  # rows of one column spread over a constant with several
        width = max([1, *(constant.size for constant in constants if constant.ndim)])
    if not all(_fits(constant, width) for constant in constants):
        raise Unbounded("a constant has another width than the rows")
    return width


def _fits(constant: NDArray[Any], width: int | None) -> bool:
    if constant.size == 1:
        return constant.ndim <= (1 if width is None else 2)
    return constant.shape in ((width,), (1, width))


def scaled(*names: str) -> Rule:
    """The same width, with lists of that length or of one."""

    def rule(node: Node, inputs: list[Tensor]) -> list[Tensor]:
        width, attributes = width_of(inputs[0]), node.attributes
        if any(len(attributes[name]) not in (1, width) for name in names if name in attributes):
            raise Unbounded("an attribute has another length than the rows")
        return [Tensor(TensorProto.FLOAT if node.op_type == "Scaler" else inputs[0].kind, width)]

    return rule


def product(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """MatMul of rows and a constant matrix."""
    matrix = inputs[1].constant
    if matrix is None or matrix.ndim != 2 or len(matrix) != width_of(inputs[0]) or not matrix.size:  # noqa: PLR2004
        raise Unbounded("rows are multiplied by something other than a matrix of their width")
    return [Tensor(inputs[0].kind, matrix.shape[1])]


def general_product(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Gemm of rows and a constant matrix, with or without a constant row beside."""
    attributes, matrix = node.attributes, inputs[1].constant
    if matrix is None or attributes.get("transA"):
        raise Unbounded("rows are multiplied by something other than a matrix of their width")
    turned = inputs[1]._replace(constant=matrix.T if attributes.get("transB") else matrix)
    (result,) = product(node, [inputs[0], turned])
    if _spread([result, *inputs[2:]]) != result.width:
        raise Unbounded("a constant has another width than the rows")
    return [result]


def side_by_side(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Concat of columns."""
    width = sum(width_of(one) for one in inputs)
    if node.attributes.get("axis") not in (1, -1):
        raise Unbounded("tensors are not joined column by column")
    return [Tensor(inputs[0].kind, width, within=_within(node, inputs))]


def reshaped(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Reshape to rows x columns, or to one value for each row."""
    target = inputs[1].constant
    form = [] if target is None else target.ravel().tolist()
    rows = _rows(inputs[0])
    if form == [-1] and rows.values == 1:
        return [rows._replace(width=None, lying=False)]
    if len(form) == 2 and form[0] in (-1, 0) and form[1] == rows.values:  # noqa: PLR2004
        return [rows._replace(width=rows.values, lying=False)]
    raise Unbounded("rows are put into another shape")


def extreme(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """ArgMax and ArgMin: the place of a column."""
    attributes = node.attributes
    width = width_of(inputs[0])
    if attributes.get("axis") not in (1, -1):
        raise Unbounded("rows are compared with one another")
    return [Tensor(TensorProto.INT64, 1 if attributes.get("keepdims", 1) else None, within=(0, width - 1))]


def reduced(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Each row becomes one number."""
    if inputs[0].kind not in FLOATS:
        raise Unbounded("whole numbers are added up")
    width_of(inputs[0])
    attributes = node.attributes
    given = inputs[1].constant if len(inputs) > 1 else attributes.get("axes")
    if given is None or np.ravel(given).tolist() not in ([1], [-1]):
        raise Unbounded("rows are compared with one another")
    return [Tensor(inputs[0].kind, 1 if attributes.get("keepdims", 1) else None)]


def foremost(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """A few of the largest or smallest numbers of each row, and their places."""
    count, width = inputs[1].constant, width_of(inputs[0])
    if count is None or count.size != 1 or not 1 <= (few := int(count.ravel()[0])) <= width:
        raise Unbounded("more numbers are chosen than rows have")
    if node.attributes.get("axis", -1) not in (1, -1):
        raise Unbounded("rows are compared with one another")
    return [inputs[0]._replace(width=few), Tensor(TensorProto.INT64, few, within=(0, width - 1))]


def chosen(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """ArrayFeatureExtractor: columns of the rows, or entries of a constant."""
    table, places = inputs
    if places.kind != TensorProto.INT64:
        raise Unbounded("columns are chosen by something other than their numbers")
    if table.constant is not None:
        return [_looked_up(table.constant, table, places)]
    columns = places.constant
    if columns is None or not columns.size or not (columns.min() >= 0 and columns.max() < width_of(table)):
        raise Unbounded("columns are chosen by something other than their numbers")
    return [Tensor(table.kind, columns.size, within=table.within)]


def _looked_up(labels: NDArray[Any], table: Tensor, places: Tensor) -> Tensor:
    """Labels by their numbers, one for each row, which come lying."""
    single = places.constant is None and places.width in (1, None) and not places.lying
    if not single or not _is_place(places, labels.size) or labels.size != labels.shape[-1]:
        raise Unbounded("labels are looked up by something other than a number for each row")
    return Tensor(table.kind, within=table.within, lying=True)


def _is_place(places: Tensor, size: int) -> bool:
    return places.within is not None and places.within[0] >= 0 and places.within[1] < size


def gathered(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Rows of a constant, by their numbers; the runtime looks at each, and refuses those that are too large."""
    table, places = inputs[0].constant, inputs[1]
    if table is None or table.ndim != 2 or places.constant is not None or not table.size:  # noqa: PLR2004
        raise Unbounded("something else than the rows of a table is looked up")
    if places.width is not None or places.lying or places.kind not in WHOLE:
        raise Unbounded("rows are looked up by something else than one number each")
    if node.attributes.get("axis", 0) != 0:
        raise Unbounded("something else than the rows of a table is looked up")
    return [Tensor(inputs[0].kind, table.shape[1], within=inputs[0].within)]


def cast(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """A number that has no place in the other type becomes any of that type; nothing traps."""
    kind, rows = int(node.attributes.get("to", 0)), _rows(inputs[0])
    if kind not in NUMBERS:
        raise Unbounded("numbers become texts, or are of a type that is not known")
    if kind not in WHOLE:
        return [rows._replace(kind=kind, within=(0, 1) if kind == TensorProto.BOOL else None)]
    kept = rows.within is not None and holds(kind, rows.within)
    return [rows._replace(kind=kind, within=rows.within if kept else full(kind))]


def flattened(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Flatten of rows."""
    width_of(inputs[0])
    if node.attributes.get("axis", 1) != 1:
        raise Unbounded("rows are put into another shape")
    return [inputs[0]]


def constant(node: Node, _inputs: list[Tensor]) -> list[Tensor]:
    """Constant: its value."""
    value = node.attributes.get("value")
    if not isinstance(value, np.ndarray):
        raise Unbounded("a constant is not a tensor")
    return [constant_of(value)]
