"""What an ONNX program takes for a row at the most, worked out from the program alone and never by running it.

Only operators are known here whose result is as large as their inputs and constants say, whose work can be
counted, and which cannot trap. A program of nothing else ends after the work and in the memory that are stated,
and answers each row by itself; anything else is for a model host. docs/security.md has this as a theorem.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from google.protobuf.message import Message
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from model_store.formats.onnx.checks import inputs_of
from model_store.formats.onnx.cost import Cost
from model_store.formats.onnx.ensembles import attributes_of
from model_store.formats.onnx.ml_outputs import (
    linear_classifier,
    linear_regressor,
    support_vectors,
    svm_classifier,
    svm_regressor,
    tree_classifier,
    tree_regressor,
)
from model_store.formats.onnx.operator_outputs import (
    MAX_WIDTH,
    TRUTHS,
    along,
    cast,
    chosen,
    constant,
    elementwise,
    extreme,
    flattened,
    foremost,
    gathered,
    general_product,
    normalized,
    product,
    reduced,
    reshaped,
    same,
    scaled,
    side_by_side,
    unchanged,
)
from model_store.formats.onnx.operator_work import copied, descended, each, multiplied, nothing, supported
from model_store.formats.onnx.tensors import (
    FLOATS,
    MAX_TEXT,
    NUMBERS,
    TEXTS,
    Node,
    Rule,
    Tensor,
    Unbounded,
    Work,
    constant_of,
    entering,
)

#: Messages in a file (nodes, constants, attributes, dimensions, ...): making a session takes longer than in
#: proportion to them, and nothing can stop it.
MAX_PARTS = 200_000
MAX_CONSTANTS = 10_000
#: Bytes of a value. A text stands in the runtime and in Python, each with its length and its place.
BYTES: dict[int, int] = {
    TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.INT32: 4, TensorProto.INT64: 8, TensorProto.BOOL: 1,
    TensorProto.STRING: 128 + 5 * MAX_TEXT,
}  # fmt: skip
#: Bytes of a session for each byte of its file (trees grow the most), and for each message in that.
GROWTH, PART = 20, 2048
#: Elementary steps that an operator takes in each call, whatever the rows.
CALL = 2_000


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
    known = {tensor.name: constant_of(numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    come = {value.name: entering(value) for value in inputs_of(model)}
    known |= come
    steps, aside, used = 0, 0, 2 * sum(_bytes(one) for one in come.values())
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
        return 8 * (support_vectors(node.attributes) + inputs[0].values + 4 * classes * classes)
    return 2 * sum(_bytes(one) for one in inputs)


#: What is known. What is not here is for a model host.
OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(
        ("Ceil", "Exp", "Floor", "IsNaN", "Log", "Reciprocal", "Round", "Sigmoid", "Sqrt", "Tanh", "Binarizer"),
        Operator(same, each),
    ),
    **dict.fromkeys(("Abs", "Neg", "Not", "Relu", "Sign"), Operator(same, each, NUMBERS)),
    **dict.fromkeys(("LogSoftmax", "Softmax"), Operator(along, each)),
    "Normalizer": Operator(normalized, each, NUMBERS),
    **dict.fromkeys(("Mean", "Pow", "Sum"), Operator(elementwise, each)),
    **dict.fromkeys(
        ("Add", "Div", "Max", "Min", "Mul", "Sub", "Where", *TRUTHS),
        Operator(elementwise, each, NUMBERS),
    ),
    "ArgMax": Operator(extreme, each, NUMBERS),
    "ArgMin": Operator(extreme, each, NUMBERS),
    "ArrayFeatureExtractor": Operator(chosen, copied, (*NUMBERS, *TEXTS)),
    "Cast": Operator(cast, each, NUMBERS),
    "Concat": Operator(side_by_side, copied, NUMBERS),
    "Constant": Operator(constant, nothing),
    "Flatten": Operator(flattened, each, (*NUMBERS, *TEXTS)),
    "Gather": Operator(gathered, copied, NUMBERS),
    "Gemm": Operator(general_product, multiplied),
    "Imputer": Operator(scaled("imputed_value_floats", "imputed_value_int64s"), each),
    "Identity": Operator(unchanged, each, (*NUMBERS, *TEXTS)),
    "LinearClassifier": Operator(linear_classifier, multiplied, NUMBERS),
    "LinearRegressor": Operator(linear_regressor, multiplied, NUMBERS),
    "MatMul": Operator(product, multiplied),
    **dict.fromkeys(
        ("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
         "ReduceSum", "ReduceSumSquare"),
        Operator(reduced, each, (*FLOATS, TensorProto.INT64)),
    ),
    "Reshape": Operator(reshaped, each, (*NUMBERS, *TEXTS)),
    "SVMClassifier": Operator(svm_classifier, supported, NUMBERS),
    "SVMRegressor": Operator(svm_regressor, supported, NUMBERS),
    "Scaler": Operator(scaled("offset", "scale"), each, NUMBERS),
    "TopK": Operator(foremost, each, NUMBERS),
    "TreeEnsembleClassifier": Operator(tree_classifier, descended, NUMBERS),
    "TreeEnsembleRegressor": Operator(tree_regressor, descended, NUMBERS),
}  # fmt: skip
