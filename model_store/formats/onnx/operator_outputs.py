"""What the outputs of each operator are like, from what its inputs are like: one rule for each kind."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from model_store.formats.onnx.bounds import TRUTHS
from model_store.formats.onnx.ensembles import ensemble_fault, outputs_of
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
    _width(inputs[0])
    if node.attributes.get("axis", -1) not in (1, -1):
        raise Unbounded("rows are compared with one another")
    return [inputs[0]]


def normalized(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Normalizer: single precision whatever comes."""
    return [Tensor(TensorProto.FLOAT, _width(inputs[0]))]


def _rows(tensor: Tensor) -> Tensor:
    if tensor.constant is not None:
        raise Unbounded("a constant stands where rows are expected")
    return tensor


def _width(tensor: Tensor) -> int:
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
        width, attributes = _width(inputs[0]), node.attributes
        if any(len(attributes[name]) not in (1, width) for name in names if name in attributes):
            raise Unbounded("an attribute has another length than the rows")
        return [Tensor(TensorProto.FLOAT if node.op_type == "Scaler" else inputs[0].kind, width)]

    return rule


def product(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """MatMul of rows and a constant matrix."""
    matrix = inputs[1].constant
    if matrix is None or matrix.ndim != 2 or len(matrix) != _width(inputs[0]) or not matrix.size:  # noqa: PLR2004
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


def linear_regressor(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """LinearRegressor: a number for each target."""
    attributes = node.attributes
    targets = int(attributes.get("targets", 1))
    _check_linear(attributes, targets, _width(inputs[0]))
    return [Tensor(TensorProto.FLOAT, targets)]


def linear_classifier(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """LinearClassifier: a label, and a score for each."""
    attributes = node.attributes
    label, labels = _label(attributes)
    scores = len(attributes.get("intercepts", ())) or labels
    if labels != (2 if scores == 1 else scores):
        raise Unbounded("the classifier has not one score for each label")
    _check_linear(attributes, scores, _width(inputs[0]))
    return [label, Tensor(TensorProto.FLOAT, labels)]


def _label(attributes: dict[str, Any]) -> tuple[Tensor, int]:
    """The label that a classifier gives, and how many it has; the runtime has 0, 1 and -1 for those of its own."""
    whole = next(
        (attributes[name] for name in ("classlabels_ints", "classlabels_int64s") if name in attributes), ()
    )
    texts = attributes.get("classlabels_strings", ())
    if len(whole) and len(texts):
        raise Unbounded("a classifier has two lists of labels")
    if len(texts):
        return Tensor(TensorProto.STRING), len(texts)
    values = [-1, 0, 1, *(int(label) for label in whole)]
    return Tensor(TensorProto.INT64, within=(min(values), max(values))), len(whole)


def _check_linear(attributes: dict[str, Any], outputs: int, width: int) -> None:
    if not 1 <= outputs <= MAX_WIDTH or len(attributes.get("coefficients", ())) != outputs * width:
        raise Unbounded("the coefficients do not fit the rows")
    if len(attributes.get("intercepts", ())) not in (0, outputs):
        raise Unbounded("the intercepts do not fit the outputs")


def tree_classifier(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """TreeEnsembleClassifier: a label, and a score for each class."""
    outputs = _ensemble(node, inputs, "class")
    return [_label(node.attributes)[0], Tensor(TensorProto.FLOAT, outputs)]


def tree_regressor(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """TreeEnsembleRegressor: a number for each target."""
    return [Tensor(TensorProto.FLOAT, _ensemble(node, inputs, "target"))]


def _ensemble(node: Node, inputs: list[Tensor], kind: str) -> int:
    if wrong := ensemble_fault(node.op_type, node.attributes, _width(inputs[0])):
        raise Unbounded(wrong)
    attributes = node.attributes
    outputs = outputs_of(attributes, kind)
    if not 1 <= outputs <= MAX_WIDTH or len(attributes.get("base_values", ())) not in (0, 1, outputs):
        raise Unbounded("the ensemble has an impossible number of outputs")
    return outputs


def side_by_side(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Concat of columns."""
    width = sum(_width(one) for one in inputs)
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
    width = _width(inputs[0])
    if attributes.get("axis") not in (1, -1):
        raise Unbounded("rows are compared with one another")
    return [Tensor(TensorProto.INT64, 1 if attributes.get("keepdims", 1) else None, within=(0, width - 1))]


def reduced(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Each row becomes one number."""
    if inputs[0].kind not in FLOATS:
        raise Unbounded("whole numbers are added up")
    _width(inputs[0])
    attributes = node.attributes
    given = inputs[1].constant if len(inputs) > 1 else attributes.get("axes")
    if given is None or np.ravel(given).tolist() not in ([1], [-1]):
        raise Unbounded("rows are compared with one another")
    return [Tensor(inputs[0].kind, 1 if attributes.get("keepdims", 1) else None)]


def foremost(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """A few of the largest or smallest numbers of each row, and their places."""
    count, width = inputs[1].constant, _width(inputs[0])
    if count is None or count.size != 1 or not 1 <= (few := int(count.ravel()[0])) <= width:
        raise Unbounded("more numbers are chosen than rows have")
    if node.attributes.get("axis", -1) not in (1, -1):
        raise Unbounded("rows are compared with one another")
    return [inputs[0]._replace(width=few), Tensor(TensorProto.INT64, few, within=(0, width - 1))]


def svm_regressor(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """SVMRegressor: a number."""
    attributes = node.attributes
    vectors = support_vectors(attributes)
    _check_support(attributes, vectors, _width(inputs[0]))
    if len(attributes.get("coefficients", ())) != vectors or len(attributes.get("rho", ())) != 1:
        raise Unbounded("the coefficients do not fit the support vectors")
    return [Tensor(TensorProto.FLOAT, 1)]


def svm_classifier(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """SVMClassifier: a label, and a score for each class or pair."""
    attributes = node.attributes
    label, classes = _label(attributes)
    per_class, vectors = attributes.get("vectors_per_class", np.zeros(0)), support_vectors(attributes)
    pairs = classes * (classes - 1) // 2
    if classes < 2 or len(per_class) != classes or min(per_class) < 0 or pairs > MAX_WIDTH:  # noqa: PLR2004
        raise Unbounded("the support vectors do not fit the classes")
    _check_support(attributes, vectors, _width(inputs[0]))
    if (
        len(attributes.get("coefficients", ())) != (classes - 1) * vectors
        or len(attributes.get("rho", ())) != pairs
    ):
        raise Unbounded("the coefficients do not fit the support vectors")
    likely = [len(attributes.get(name, ())) for name in ("prob_a", "prob_b")]
    if likely not in ([0, 0], [pairs, pairs]):
        raise Unbounded("the probabilities do not fit the classes")
    return [label, Tensor(TensorProto.FLOAT, classes if likely[0] or classes == 2 else pairs)]  # noqa: PLR2004


def support_vectors(attributes: dict[str, Any]) -> int:
    """How many support vectors a machine has."""
    return int(sum(attributes.get("vectors_per_class", ())) or attributes.get("n_supports", 0))


def _check_support(attributes: dict[str, Any], vectors: int, width: int) -> None:
    if vectors < 1 or len(attributes.get("support_vectors", ())) != vectors * width:
        raise Unbounded("the support vectors do not fit the rows")
    if len(attributes.get("kernel_params", ())) != 3:  # noqa: PLR2004
        raise Unbounded("the kernel has not its three parameters")


def chosen(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """ArrayFeatureExtractor: columns of the rows, or entries of a constant."""
    table, places = inputs
    if places.kind != TensorProto.INT64:
        raise Unbounded("columns are chosen by something other than their numbers")
    if table.constant is not None:
        return [_looked_up(table.constant, table, places)]
    columns = places.constant
    if columns is None or not columns.size or not (columns.min() >= 0 and columns.max() < _width(table)):
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
    _width(inputs[0])
    if node.attributes.get("axis", 1) != 1:
        raise Unbounded("rows are put into another shape")
    return [inputs[0]]


def constant(node: Node, _inputs: list[Tensor]) -> list[Tensor]:
    """Constant: its value."""
    value = node.attributes.get("value")
    if not isinstance(value, np.ndarray):
        raise Unbounded("a constant is not a tensor")
    return [constant_of(value)]
