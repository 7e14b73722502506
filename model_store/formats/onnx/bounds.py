"""How much an ONNX program computes for a row, worked out from the program alone and never by running it.

Only operators whose result is as large as their inputs and constants say are known here. A program of nothing else
ends, and in a time and a memory that can be told beforehand; anything else is for a model host.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from model_store.formats.onnx.checks import inputs_of, shape_of, type_of
from model_store.formats.onnx.ensembles import attributes_of, fault, outputs_of

#: Columns that a result may have.
MAX_WIDTH = 100_000
#: Characters of a label that a row's answer may repeat.
MAX_TEXT = 256
NUMBERS = (TensorProto.FLOAT, TensorProto.DOUBLE)
#: The one operator that may have texts among its inputs: it looks labels up.
LOOKED_UP = "ArrayFeatureExtractor"


class Unbounded(ValueError):
    """The program does something whose size or sense cannot be told beforehand."""


class Shape(NamedTuple):
    """What a tensor is like: rows x `width` numbers, one number a row (width None), or a constant.

    `below`: all numbers are whole, and from 0 to less than this. `lying`: they are 1 x rows.
    """

    width: int | None = None
    constant: NDArray[Any] | None = None
    below: int | None = None
    lying: bool = False


class Cost(NamedTuple):
    """What a program takes: numbers computed for each row, in the program itself, and in the answer for a row."""

    cells: int
    constants: int
    given: int


Rule = Callable[[NodeProto, list[Shape]], Sequence[Shape]]


def cost_of(model: ModelProto) -> Cost:
    """The cost of a program for each row.

    Raises:
        Unbounded: it cannot be told.
    """
    known = {tensor.name: Shape(constant=numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    known |= {value.name: _input(value) for value in inputs_of(model)}
    for node in model.graph.node:
        if node.op_type not in OPERATORS:
            raise Unbounded(f"the operator {node.op_type} can compute without bounds")
        inputs = [known[name] for name in node.input if name]
        if node.op_type != LOOKED_UP and any(_is_text(shape.constant) for shape in inputs):
            raise Unbounded("texts are combined")
        known |= dict(zip(node.output, OPERATORS[node.op_type](node, inputs), strict=False))
    labels = [*(text for tensor in model.graph.initializer for text in tensor.string_data)]
    labels += [text for node in model.graph.node for text in texts_of(node)]
    if any(len(text) > MAX_TEXT for text in labels):
        raise Unbounded("a label is very long")
    if not all(output.name in known for output in model.graph.output):
        raise Unbounded("an output is not computed")
    given = sum(known[output.name].width or 1 for output in model.graph.output)
    return Cost(sum(shape.width or 1 for shape in known.values()), model.ByteSize() // 4, given)


def texts_of(node: NodeProto) -> Iterator[bytes]:
    """The texts in a node, which can become a part of each answer."""
    for attribute in node.attribute:
        yield from attribute.strings
        if attribute.HasField("t"):
            yield from attribute.t.string_data


def _is_text(constant: NDArray[Any] | None) -> bool:
    return constant is not None and constant.dtype.kind not in "biuf"


def _input(value: Any) -> Shape:
    shape = shape_of(value)
    if type_of(value) not in NUMBERS or shape is None or len(shape) != 2 or not shape[1] or shape[0] is not None:  # noqa: PLR2004
        raise Unbounded("an input is not a table of numbers with any number of rows")
    return Shape(shape[1])


def _same(_node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    return [_rows(inputs[0])._replace(below=None)]


def _unchanged(_node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    return [_rows(inputs[0])]


def _rows(shape: Shape) -> Shape:
    if shape.constant is not None:
        raise Unbounded("a constant stands where rows are expected")
    return shape


def _width(shape: Shape) -> int:
    width = _rows(shape).width
    if width is None:
        raise Unbounded("rows have no columns where columns are expected")
    return width


def _elementwise(_node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    """Rows of one width or of one column, with constants of that width or of one number."""
    rows = [shape for shape in inputs if shape.constant is None]
    if not rows:
        raise Unbounded("a constant stands where rows are expected")
    if any(shape.lying for shape in rows):
        raise Unbounded("what lies is combined")
    width = max(rows, key=lambda shape: shape.width or 0).width
    if any(shape.width not in (width, width and 1) for shape in rows):
        raise Unbounded("tensors of different widths are combined")
    constants = [shape.constant for shape in inputs if shape.constant is not None]
    if width == 1:  # rows of one column spread over a constant with several
        width = max([1, *(constant.size for constant in constants if constant.ndim)])
    if width is not None and width > MAX_WIDTH:
        raise Unbounded("rows become too wide")
    if not all(_fits(constant, width) for constant in constants):
        raise Unbounded("a constant has another width than the rows")
    return [Shape(width)]


def _fits(constant: NDArray[Any], width: int | None) -> bool:
    if constant.size == 1:
        return constant.ndim <= (1 if width is None else 2)
    return constant.shape in ((width,), (1, width))


def _scaled(*names: str) -> Rule:
    """The same width, with lists of that length or of one."""

    def rule(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
        width, attributes = _width(inputs[0]), attributes_of(node)
        if any(len(attributes[name]) not in (1, width) for name in names if name in attributes):
            raise Unbounded("an attribute has another length than the rows")
        return [inputs[0]]

    return rule


def _product(_node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    matrix = inputs[1].constant
    if matrix is None or matrix.ndim != 2 or len(matrix) != _width(inputs[0]):  # noqa: PLR2004
        raise Unbounded("rows are multiplied by something other than a matrix of their width")
    return [Shape(matrix.shape[1])]


def _general_product(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    attributes, matrix = attributes_of(node), inputs[1].constant
    if matrix is None or attributes.get("transA"):
        raise Unbounded("rows are multiplied by something other than a matrix of their width")
    turned = Shape(constant=matrix.T if attributes.get("transB") else matrix)
    (result,) = _product(node, [inputs[0], turned])
    return _elementwise(node, [result, *inputs[2:]])


def _linear_regressor(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    attributes = attributes_of(node)
    targets = int(attributes.get("targets", 1))
    _check_linear(attributes, targets, _width(inputs[0]))
    return [Shape(targets)]


def _linear_classifier(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    attributes = attributes_of(node)
    labels: Any = attributes.get("classlabels_ints", attributes.get("classlabels_strings", ()))
    scores = len(attributes.get("intercepts", ())) or len(labels)
    if len(labels) != (2 if scores == 1 else scores):
        raise Unbounded("the classifier has not one score for each label")
    _check_linear(attributes, scores, _width(inputs[0]))
    return [Shape(), Shape(len(labels))]


def _check_linear(attributes: dict[str, Any], outputs: int, width: int) -> None:
    if not 1 <= outputs <= MAX_WIDTH or len(attributes.get("coefficients", ())) != outputs * width:
        raise Unbounded("the coefficients do not fit the rows")
    if len(attributes.get("intercepts", ())) not in (0, outputs):
        raise Unbounded("the intercepts do not fit the outputs")


def _tree_classifier(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    return [Shape(), Shape(_ensemble(node, inputs, "class"))]


def _tree_regressor(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    return [Shape(_ensemble(node, inputs, "target"))]


def _ensemble(node: NodeProto, inputs: list[Shape], kind: str) -> int:
    if wrong := fault(node, _width(inputs[0])):
        raise Unbounded(wrong)
    attributes = attributes_of(node)
    outputs = outputs_of(attributes, kind)
    if not 1 <= outputs <= MAX_WIDTH or len(attributes.get("base_values", ())) not in (0, 1, outputs):
        raise Unbounded("the ensemble has an impossible number of outputs")
    return outputs


def _side_by_side(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    width = sum(_width(shape) for shape in inputs)
    if attributes_of(node).get("axis") not in (1, -1) or width > MAX_WIDTH:
        raise Unbounded("tensors are joined to something too large, or not column by column")
    return [Shape(width)]


def _reshaped(_node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    target = inputs[1].constant
    form = [] if target is None else target.ravel().tolist()
    width = _rows(inputs[0]).width or 1
    if form == [-1] and width == 1:
        return [Shape()]
    if len(form) == 2 and form[0] in (-1, 0) and form[1] == width:  # noqa: PLR2004
        return [Shape(width)]
    raise Unbounded("rows are put into another shape")


def _extreme(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    attributes = attributes_of(node)
    width = _width(inputs[0])
    if attributes.get("axis") not in (1, -1):
        raise Unbounded("rows are compared with one another")
    return [Shape(1 if attributes.get("keepdims", 1) else None, below=width)]


def _reduced(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    """Each row becomes one number."""
    _width(inputs[0])
    attributes = attributes_of(node)
    given = inputs[1].constant if len(inputs) > 1 else attributes.get("axes")
    if given is None or np.ravel(given).tolist() not in ([1], [-1]):
        raise Unbounded("rows are compared with one another")
    return [Shape(1 if attributes.get("keepdims", 1) else None)]


def _foremost(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    """A few of the largest or smallest numbers of each row, and their places."""
    count, width = inputs[1].constant, _width(inputs[0])
    if count is None or count.size != 1 or not 1 <= (few := int(count.ravel()[0])) <= width:
        raise Unbounded("more numbers are chosen than rows have")
    if attributes_of(node).get("axis", -1) not in (1, -1):
        raise Unbounded("rows are compared with one another")
    return [Shape(few), Shape(few, below=width)]


def _svm_regressor(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    attributes = attributes_of(node)
    vectors = int(attributes.get("n_supports", 0))
    _check_support(attributes, vectors, _width(inputs[0]))
    if len(attributes.get("coefficients", ())) != vectors or len(attributes.get("rho", ())) != 1:
        raise Unbounded("the coefficients do not fit the support vectors")
    return [Shape(1)]


def _svm_classifier(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    attributes = attributes_of(node)
    labels: Any = attributes.get("classlabels_ints", attributes.get("classlabels_strings", ()))
    per_class = attributes.get("vectors_per_class", np.zeros(0))
    classes, vectors = len(labels), int(sum(per_class))
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
    return [Shape(), Shape(classes if likely[0] or classes == 2 else pairs)]  # noqa: PLR2004


def _check_support(attributes: dict[str, Any], vectors: int, width: int) -> None:
    if vectors < 1 or len(attributes.get("support_vectors", ())) != vectors * width:
        raise Unbounded("the support vectors do not fit the rows")
    if len(attributes.get("kernel_params", ())) != 3:  # noqa: PLR2004
        raise Unbounded("the kernel has not its three parameters")


def _chosen(_node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    table, columns = inputs[0].constant, inputs[1].constant
    if table is not None and inputs[1].below is not None and inputs[1].below <= table.size == table.shape[-1]:
        return [Shape(lying=True)]  # labels looked up by their numbers
    if columns is None or not columns.size or not (columns.min() >= 0 and columns.max() < _width(inputs[0])):
        raise Unbounded("columns are chosen by something other than their numbers")
    return [Shape(columns.size)]


def _gathered(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    """Rows of a constant, by their numbers; the runtime refuses numbers that are too large."""
    table, places = inputs[0].constant, inputs[1]
    if table is None or table.ndim != 2 or places.constant is not None:  # noqa: PLR2004
        raise Unbounded("something else than the rows of a table is looked up")
    if places.width is not None or places.lying:
        raise Unbounded("rows are looked up by something else than one number each")
    if attributes_of(node).get("axis", 0) != 0 or not 1 <= table.shape[1] <= MAX_WIDTH:
        raise Unbounded("something else than the rows of a table is looked up")
    return [Shape(table.shape[1])]


def _cast(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    if attributes_of(node).get("to") == TensorProto.STRING:
        raise Unbounded("numbers are written as text")
    return _unchanged(node, inputs)


def _flattened(node: NodeProto, inputs: list[Shape]) -> list[Shape]:
    if attributes_of(node).get("axis", 1) != 1:
        raise Unbounded("rows are put into another shape")
    return [Shape(_width(inputs[0]))]


def _constant(node: NodeProto, _inputs: list[Shape]) -> list[Shape]:
    value = attributes_of(node).get("value")
    if not isinstance(value, np.ndarray):
        raise Unbounded("a constant is not a tensor")
    return [Shape(constant=value)]


#: Operator -> what its outputs are like. What is not here is for a model host.
OPERATORS: dict[str, Rule] = {
    **dict.fromkeys(
        ("Abs", "Ceil", "Exp", "Floor", "IsNaN", "Log", "LogSoftmax", "Neg", "Normalizer", "Not",
         "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Softmax", "Sqrt", "Tanh", "Binarizer"),
        _same,
    ),
    **dict.fromkeys(
        ("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min",
         "Mul", "Or", "Pow", "Sub", "Sum", "Where", "Xor"),
        _elementwise,
    ),
    "ArgMax": _extreme,
    "ArgMin": _extreme,
    "ArrayFeatureExtractor": _chosen,
    "Cast": _cast,
    "Concat": _side_by_side,
    "Constant": _constant,
    "Flatten": _flattened,
    "Gather": _gathered,
    "Gemm": _general_product,
    "Imputer": _scaled("imputed_value_floats", "imputed_value_int64s"),
    "Identity": _unchanged,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "MatMul": _product,
    **dict.fromkeys(
        ("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
         "ReduceSum", "ReduceSumSquare"),
        _reduced,
    ),
    "Reshape": _reshaped,
    "SVMClassifier": _svm_classifier,
    "SVMRegressor": _svm_regressor,
    "Scaler": _scaled("offset", "scale"),
    "TopK": _foremost,
    "TreeEnsembleClassifier": _tree_classifier,
    "TreeEnsembleRegressor": _tree_regressor,
}  # fmt: skip
