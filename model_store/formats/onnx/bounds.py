"""What an ONNX program takes for a row at the most, worked out from the program alone and never by running it.

Only operators are known here whose result is as large as their inputs and constants say, whose work can be
counted, and which cannot trap. A program of nothing else ends after the work and in the memory that are stated,
and answers each row by itself; anything else is for a model host. docs/security.md has this as a theorem.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from model_store.formats.onnx.checks import inputs_of, shape_of, type_of
from model_store.formats.onnx.cost import Cost
from model_store.formats.onnx.ensembles import (
    Attributes,
    attributes_of,
    depth_of,
    ensemble_fault,
    most_in_a_leaf,
    outputs_of,
    trees_of,
)
from model_store.formats.onnx.ranges import Range, full, holds, of_constant, of_result

#: Columns that a result may have.
MAX_WIDTH = 100_000
#: Characters of a label that a row's answer may repeat.
MAX_TEXT = 256
#: Messages in a file (nodes, constants, attributes, dimensions, ...): making a session takes longer than in
#: proportion to them, and nothing can stop it.
MAX_PARTS = 200_000
MAX_CONSTANTS = 10_000
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
#: Bytes of a value. A text stands in the runtime and in Python, each with its length and its place.
BYTES: dict[int, int] = {
    TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.INT32: 4, TensorProto.INT64: 8, TensorProto.BOOL: 1,
    TensorProto.STRING: 128 + 5 * MAX_TEXT,
}  # fmt: skip
#: Bytes of a session for each byte of its file (trees grow the most), and for each message in that.
GROWTH, PART = 20, 2048
#: Elementary steps that an operator takes in each call, whatever the rows.
CALL = 2_000
#: Elementary steps for a level of a tree that a row passes, for a function of a kernel or of a score, and for each
#: value of operators that take longer than to add two numbers.
LEVEL, KERNEL = 20, 40
SLOW = {
    "Div": 4, "Reciprocal": 4, "Sqrt": 8, "Round": 8, "Exp": 30, "Log": 30, "Sigmoid": 30, "Tanh": 40, "Pow": 100,
    "Softmax": 40, "LogSoftmax": 60, "Normalizer": 10, "ReduceLogSumExp": 60, "TopK": 20,
}  # fmt: skip
#: Turns in which the probabilities of a machine with several classes are found.
TURNS = 100


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


class Operator(NamedTuple):
    """What is known of an operator.

    Attributes:
        rule: what its outputs are like; raises Unbounded.
        work: elementary steps for a row, from the node, its inputs and its outputs.
        takes: element types of its inputs.
    """

    rule: "Rule"
    work: "Work"
    takes: tuple[int, ...] = FLOATS


class Node(NamedTuple):
    """A node: its operator and the operator's attributes."""

    op_type: str
    attributes: Attributes


Rule = Callable[[Node, list[Tensor]], Sequence[Tensor]]
Work = Callable[[Node, list[Tensor], Sequence[Tensor]], int]


def cost_of(model: ModelProto) -> Cost:
    """The cost of a program.

    Raises:
        Unbounded: it cannot be told.
    """
    try:
        return _cost_of(model)
    except Unbounded:
        raise
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise Unbounded(f"an attribute or a constant is not what it should be ({type(error).__name__})") from error


def _cost_of(model: ModelProto) -> Cost:
    parts = _parts(model)
    _check_size(model, parts)
    known = {tensor.name: _constant_of(numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    entering = {value.name: _input(value) for value in inputs_of(model)}
    known |= entering
    steps, aside, used = 0, 0, 2 * sum(_bytes(one) for one in entering.values())
    for one in model.graph.node:
        node = Node(one.op_type, attributes_of(one))
        inputs, outputs = _computed(node, one.input, known)
        steps += OPERATORS[node.op_type].work(node, inputs, outputs)
        used += sum(_bytes(output) for output in outputs)
        aside = max(aside, _aside(node, inputs, outputs))
        known |= dict(zip(one.output, outputs, strict=False))
    given = [_given(known, output.name) for output in model.graph.output]
    return Cost(
        steps=steps,
        call=CALL * (1 + len(model.graph.node)),
        bytes=used + aside + sum(_bytes(one) for one in given),
        kept=GROWTH * model.ByteSize() + PART * parts,
        given=sum(one.values for one in given),
    )


def _parts(message: Message) -> int:
    """How many messages there are in a message, it included."""
    count, waiting = 0, [message]
    while waiting:
        one = waiting.pop()
        count += 1
        for field, value in one.ListFields():
            if field.type == field.TYPE_MESSAGE:
                waiting += [value] if isinstance(value, Message) else value
    return count


def _check_size(model: ModelProto, parts: int) -> None:
    if parts > MAX_PARTS or len(model.graph.initializer) > MAX_CONSTANTS:
        raise Unbounded("it has too many parts")
    labels = [*(text for tensor in model.graph.initializer for text in tensor.string_data)]
    labels += [text for node in model.graph.node for text in texts_of(node)]
    if any(len(text) > MAX_TEXT for text in labels):
        raise Unbounded("a label is very long")


def texts_of(node: NodeProto) -> Iterator[bytes]:
    """The texts in a node, which can become a part of each answer."""
    for attribute in node.attribute:
        yield from attribute.strings
        if attribute.HasField("t"):
            yield from attribute.t.string_data


def _computed(node: Node, names: Sequence[str], known: dict[str, Tensor]) -> tuple[list[Tensor], Sequence[Tensor]]:
    """Inputs and outputs of a node."""
    operator = OPERATORS.get(node.op_type)
    if operator is None:
        raise Unbounded(f"the operator {node.op_type} can compute without bounds")
    if not all(name in known for name in names):
        raise Unbounded("an input of an operator is left out")
    inputs = [known[name] for name in names]
    if any(one.kind not in operator.takes for one in inputs):
        raise Unbounded(f"the operator {node.op_type} gets values of another type than it is known for")
    outputs = operator.rule(node, inputs)
    if any(one.values > MAX_WIDTH for one in outputs):
        raise Unbounded("rows become too wide")
    return inputs, outputs


def _given(known: dict[str, Tensor], name: str) -> Tensor:
    """An output of the program: something for each row."""
    if name not in known or known[name].constant is not None or known[name].lying:
        raise Unbounded("an output is not computed, or is not one entry for each row")
    return known[name]


def _bytes(tensor: Tensor) -> int:
    return 0 if tensor.constant is not None else tensor.values * BYTES[tensor.kind]


def _aside(node: Node, inputs: list[Tensor], outputs: Sequence[Tensor]) -> int:
    """Bytes for a row that an operator needs besides its outputs."""
    if "Ensemble" in node.op_type:
        return 16 * sum(one.values for one in outputs)
    if node.op_type.startswith("SVM"):
        classes = len(node.attributes.get("vectors_per_class", ()))
        return 8 * (_vectors(node.attributes) + inputs[0].values + 4 * classes * classes)
    return 2 * sum(_bytes(one) for one in inputs)


def _constant_of(values: NDArray[Any]) -> Tensor:
    kind = KINDS.get(values.dtype, TensorProto.UNDEFINED)
    whole = kind in (*WHOLE, TensorProto.BOOL)
    return Tensor(kind, constant=values, within=of_constant(values) if whole else None)


def _input(value: Any) -> Tensor:
    shape = shape_of(value)
    if type_of(value) not in FLOATS or shape is None or len(shape) != 2 or not shape[1] or shape[0] is not None:  # noqa: PLR2004
        raise Unbounded("an input is not a table of numbers with any number of rows")
    return Tensor(type_of(value), shape[1])


def _truth(width: int | None = None) -> Tensor:
    return Tensor(TensorProto.BOOL, width, within=(0, 1))


def _same(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """One value for each value."""
    rows = _rows(inputs[0])
    if node.op_type in ("IsNaN", "Not"):
        return [_truth(rows.width)._replace(lying=rows.lying)]
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


def _unchanged(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
    return [_rows(inputs[0])]


def _along(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Each row for itself becomes one of the same width."""
    _width(inputs[0])
    if node.attributes.get("axis", -1) not in (1, -1):
        raise Unbounded("rows are compared with one another")
    return [inputs[0]]


def _normalized(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
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


def _elementwise(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Rows of one width or of one column, with constants of that width or of one number."""
    width = _spread(inputs)
    if node.op_type in TRUTHS:
        return [_truth(width)]
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


def _scaled(*names: str) -> Rule:
    """The same width, with lists of that length or of one."""

    def rule(node: Node, inputs: list[Tensor]) -> list[Tensor]:
        width, attributes = _width(inputs[0]), node.attributes
        if any(len(attributes[name]) not in (1, width) for name in names if name in attributes):
            raise Unbounded("an attribute has another length than the rows")
        return [Tensor(TensorProto.FLOAT if node.op_type == "Scaler" else inputs[0].kind, width)]

    return rule


def _product(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
    matrix = inputs[1].constant
    if matrix is None or matrix.ndim != 2 or len(matrix) != _width(inputs[0]) or not matrix.size:  # noqa: PLR2004
        raise Unbounded("rows are multiplied by something other than a matrix of their width")
    return [Tensor(inputs[0].kind, matrix.shape[1])]


def _general_product(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    attributes, matrix = node.attributes, inputs[1].constant
    if matrix is None or attributes.get("transA"):
        raise Unbounded("rows are multiplied by something other than a matrix of their width")
    turned = inputs[1]._replace(constant=matrix.T if attributes.get("transB") else matrix)
    (result,) = _product(node, [inputs[0], turned])
    if _spread([result, *inputs[2:]]) != result.width:
        raise Unbounded("a constant has another width than the rows")
    return [result]


def _linear_regressor(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    attributes = node.attributes
    targets = int(attributes.get("targets", 1))
    _check_linear(attributes, targets, _width(inputs[0]))
    return [Tensor(TensorProto.FLOAT, targets)]


def _linear_classifier(node: Node, inputs: list[Tensor]) -> list[Tensor]:
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


def _tree_classifier(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    outputs = _ensemble(node, inputs, "class")
    return [_label(node.attributes)[0], Tensor(TensorProto.FLOAT, outputs)]


def _tree_regressor(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    return [Tensor(TensorProto.FLOAT, _ensemble(node, inputs, "target"))]


def _ensemble(node: Node, inputs: list[Tensor], kind: str) -> int:
    if wrong := ensemble_fault(node.op_type, node.attributes, _width(inputs[0])):
        raise Unbounded(wrong)
    attributes = node.attributes
    outputs = outputs_of(attributes, kind)
    if not 1 <= outputs <= MAX_WIDTH or len(attributes.get("base_values", ())) not in (0, 1, outputs):
        raise Unbounded("the ensemble has an impossible number of outputs")
    return outputs


def _side_by_side(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    width = sum(_width(one) for one in inputs)
    if node.attributes.get("axis") not in (1, -1):
        raise Unbounded("tensors are not joined column by column")
    return [Tensor(inputs[0].kind, width, within=_within(node, inputs))]


def _reshaped(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
    target = inputs[1].constant
    form = [] if target is None else target.ravel().tolist()
    rows = _rows(inputs[0])
    if form == [-1] and rows.values == 1:
        return [rows._replace(width=None, lying=False)]
    if len(form) == 2 and form[0] in (-1, 0) and form[1] == rows.values:  # noqa: PLR2004
        return [rows._replace(width=rows.values, lying=False)]
    raise Unbounded("rows are put into another shape")


def _extreme(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    attributes = node.attributes
    width = _width(inputs[0])
    if attributes.get("axis") not in (1, -1):
        raise Unbounded("rows are compared with one another")
    return [Tensor(TensorProto.INT64, 1 if attributes.get("keepdims", 1) else None, within=(0, width - 1))]


def _reduced(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Each row becomes one number."""
    if inputs[0].kind not in FLOATS:
        raise Unbounded("whole numbers are added up")
    _width(inputs[0])
    attributes = node.attributes
    given = inputs[1].constant if len(inputs) > 1 else attributes.get("axes")
    if given is None or np.ravel(given).tolist() not in ([1], [-1]):
        raise Unbounded("rows are compared with one another")
    return [Tensor(inputs[0].kind, 1 if attributes.get("keepdims", 1) else None)]


def _foremost(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """A few of the largest or smallest numbers of each row, and their places."""
    count, width = inputs[1].constant, _width(inputs[0])
    if count is None or count.size != 1 or not 1 <= (few := int(count.ravel()[0])) <= width:
        raise Unbounded("more numbers are chosen than rows have")
    if node.attributes.get("axis", -1) not in (1, -1):
        raise Unbounded("rows are compared with one another")
    return [inputs[0]._replace(width=few), Tensor(TensorProto.INT64, few, within=(0, width - 1))]


def _svm_regressor(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    attributes = node.attributes
    vectors = _vectors(attributes)
    _check_support(attributes, vectors, _width(inputs[0]))
    if len(attributes.get("coefficients", ())) != vectors or len(attributes.get("rho", ())) != 1:
        raise Unbounded("the coefficients do not fit the support vectors")
    return [Tensor(TensorProto.FLOAT, 1)]


def _svm_classifier(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    attributes = node.attributes
    label, classes = _label(attributes)
    per_class, vectors = attributes.get("vectors_per_class", np.zeros(0)), _vectors(attributes)
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


def _vectors(attributes: dict[str, Any]) -> int:
    """How many support vectors a machine has."""
    return int(sum(attributes.get("vectors_per_class", ())) or attributes.get("n_supports", 0))


def _check_support(attributes: dict[str, Any], vectors: int, width: int) -> None:
    if vectors < 1 or len(attributes.get("support_vectors", ())) != vectors * width:
        raise Unbounded("the support vectors do not fit the rows")
    if len(attributes.get("kernel_params", ())) != 3:  # noqa: PLR2004
        raise Unbounded("the kernel has not its three parameters")


def _chosen(_node: Node, inputs: list[Tensor]) -> list[Tensor]:
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


def _gathered(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """Rows of a constant, by their numbers; the runtime looks at each, and refuses those that are too large."""
    table, places = inputs[0].constant, inputs[1]
    if table is None or table.ndim != 2 or places.constant is not None or not table.size:  # noqa: PLR2004
        raise Unbounded("something else than the rows of a table is looked up")
    if places.width is not None or places.lying or places.kind not in WHOLE:
        raise Unbounded("rows are looked up by something else than one number each")
    if node.attributes.get("axis", 0) != 0:
        raise Unbounded("something else than the rows of a table is looked up")
    return [Tensor(inputs[0].kind, table.shape[1], within=inputs[0].within)]


def _cast(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """A number that has no place in the other type becomes any of that type; nothing traps."""
    kind, rows = int(node.attributes.get("to", 0)), _rows(inputs[0])
    if kind not in NUMBERS:
        raise Unbounded("numbers become texts, or are of a type that is not known")
    if kind not in WHOLE:
        return [rows._replace(kind=kind, within=(0, 1) if kind == TensorProto.BOOL else None)]
    kept = rows.within is not None and holds(kind, rows.within)
    return [rows._replace(kind=kind, within=rows.within if kept else full(kind))]


def _flattened(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    _width(inputs[0])
    if node.attributes.get("axis", 1) != 1:
        raise Unbounded("rows are put into another shape")
    return [inputs[0]]


def _constant(node: Node, _inputs: list[Tensor]) -> list[Tensor]:
    value = node.attributes.get("value")
    if not isinstance(value, np.ndarray):
        raise Unbounded("a constant is not a tensor")
    return [_constant_of(value)]


def _each(node: Node, inputs: list[Tensor], outputs: Sequence[Tensor]) -> int:
    """Every value of the result is made of one of each input."""
    width = max(one.values for one in (*outputs, *inputs))
    return width * max(1, len(inputs)) * SLOW.get(node.op_type, 1)


def _copied(_node: Node, _inputs: list[Tensor], outputs: Sequence[Tensor]) -> int:
    return sum(one.values for one in outputs)


def _nothing(_node: Node, _inputs: list[Tensor], _outputs: Sequence[Tensor]) -> int:
    return 0


def _multiplied(node: Node, inputs: list[Tensor], outputs: Sequence[Tensor]) -> int:
    """A sum over the columns for each value of the last result, and what is made of it."""
    return (inputs[0].values + (KERNEL if node.op_type.startswith("Linear") else 2)) * outputs[-1].values


def _descended(node: Node, _inputs: list[Tensor], outputs: Sequence[Tensor]) -> int:
    """A way through each tree, and what is added at its end."""
    lists = node.attributes
    kind = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    return trees_of(lists) * LEVEL * (depth_of(lists) + most_in_a_leaf(lists, kind)) + KERNEL * outputs[-1].values


def _supported(node: Node, inputs: list[Tensor], outputs: Sequence[Tensor]) -> int:
    """A kernel for each support vector, a sum for each pair of classes, and the search for probabilities."""
    attributes = node.attributes
    vectors, classes = _vectors(attributes), len(attributes.get("vectors_per_class", ()))
    search = TURNS * 4 * classes * classes if len(attributes.get("prob_a", ())) else 0
    pairs = classes * (classes - 1) // 2
    return vectors * (inputs[0].values + KERNEL + classes) + KERNEL * (pairs + outputs[-1].values) + search


#: Operators that combine values to whether something is so.
TRUTHS = frozenset({"And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Or", "Xor"})
#: What is known. What is not here is for a model host.
OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(
        ("Ceil", "Exp", "Floor", "IsNaN", "Log", "Reciprocal", "Round", "Sigmoid", "Sqrt", "Tanh", "Binarizer"),
        Operator(_same, _each),
    ),
    **dict.fromkeys(("Abs", "Neg", "Not", "Relu", "Sign"), Operator(_same, _each, NUMBERS)),
    **dict.fromkeys(("LogSoftmax", "Softmax"), Operator(_along, _each)),
    "Normalizer": Operator(_normalized, _each, NUMBERS),
    **dict.fromkeys(("Mean", "Pow", "Sum"), Operator(_elementwise, _each)),
    **dict.fromkeys(
        ("Add", "Div", "Max", "Min", "Mul", "Sub", "Where", *TRUTHS),
        Operator(_elementwise, _each, NUMBERS),
    ),
    "ArgMax": Operator(_extreme, _each, NUMBERS),
    "ArgMin": Operator(_extreme, _each, NUMBERS),
    "ArrayFeatureExtractor": Operator(_chosen, _copied, (*NUMBERS, *TEXTS)),
    "Cast": Operator(_cast, _each, NUMBERS),
    "Concat": Operator(_side_by_side, _copied, NUMBERS),
    "Constant": Operator(_constant, _nothing),
    "Flatten": Operator(_flattened, _each, (*NUMBERS, *TEXTS)),
    "Gather": Operator(_gathered, _copied, NUMBERS),
    "Gemm": Operator(_general_product, _multiplied),
    "Imputer": Operator(_scaled("imputed_value_floats", "imputed_value_int64s"), _each),
    "Identity": Operator(_unchanged, _each, (*NUMBERS, *TEXTS)),
    "LinearClassifier": Operator(_linear_classifier, _multiplied, NUMBERS),
    "LinearRegressor": Operator(_linear_regressor, _multiplied, NUMBERS),
    "MatMul": Operator(_product, _multiplied),
    **dict.fromkeys(
        ("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
         "ReduceSum", "ReduceSumSquare"),
        Operator(_reduced, _each, (*FLOATS, TensorProto.INT64)),
    ),
    "Reshape": Operator(_reshaped, _each, (*NUMBERS, *TEXTS)),
    "SVMClassifier": Operator(_svm_classifier, _supported, NUMBERS),
    "SVMRegressor": Operator(_svm_regressor, _supported, NUMBERS),
    "Scaler": Operator(_scaled("offset", "scale"), _each, NUMBERS),
    "TopK": Operator(_foremost, _each, NUMBERS),
    "TreeEnsembleClassifier": Operator(_tree_classifier, _descended, NUMBERS),
    "TreeEnsembleRegressor": Operator(_tree_regressor, _descended, NUMBERS),
}  # fmt: skip
