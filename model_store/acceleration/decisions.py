"""Where a program decides, and how far each row is from being decided otherwise.

What a program computes is one of two things. It is *exact* where IEEE 754 leaves one result (sums of two,
products, quotients, roots, comparisons), so that scikit-learn has the same bits if it has the same formula. It
is *rounded* where the order of a sum or the code of a function is the runtime's own. A decision over exact
numbers (a threshold of a tree, a category) cannot differ. One over rounded numbers can, near the edge: the
program gets a further output, the margin, which is each row's smallest distance from such an edge. Where there
is no such distance, as for the thresholds of a tree behind a projection, there is no program.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from model_store.acceleration.report import Unconvertible
from model_store.acceleration.trust import MARGIN
from model_store.formats.onnx.ensembles import attributes_of
from model_store.formats.onnx.program import session_of

Array = NDArray[Any]
#: Operators that only move numbers.
MOVES = frozenset({
    "ArrayFeatureExtractor", "Concat", "Constant", "Flatten", "Gather", "Identity", "Reshape", "Squeeze",
    "Transpose", "Unsqueeze", "Where",
})  # fmt: skip
#: Operators with one right result for each number.
EXACT = frozenset({"Abs", "Add", "Div", "Max", "Min", "Mul", "Neg", "Relu", "Sqrt", "Sub"})
LOGICAL = frozenset({"And", "Not", "Or", "Xor", "IsNaN"})
ROUNDED = frozenset({
    "Exp", "Gemm", "Log", "LogSoftmax", "MatMul", "Mean", "Pow", "Reciprocal", "ReduceL1", "ReduceL2",
    "ReduceLogSumExp", "ReduceMean", "ReduceSum", "ReduceSumSquare", "Softmax", "Sum", "Tanh",
})  # fmt: skip
#: The largest or the smallest of a row is a number of that row.
EXTREMES = frozenset({"ReduceMax", "ReduceMin"})
COMPARISONS = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
PLACES = {"ArgMax": 1, "ArgMin": 0}
DECISIONS = frozenset({*COMPARISONS, *PLACES, "Sign", "TreeEnsembleClassifier", "TreeEnsembleRegressor"})
STEPS = frozenset({"Ceil", "Floor", "Round"})
TREES = {"TreeEnsembleClassifier": "class", "TreeEnsembleRegressor": "target"}
#: Whole numbers up to this are exact in single and in double precision.
SINGLE, DOUBLE = 2.0**24, 2.0**53


def with_margin(model: ModelProto, rows: Array) -> tuple[ModelProto, bool]:
    """The program with the output `margin` if it decides over rounded numbers, and without what no output needs.

    Also whether it does not matter where rows lie: it computes nothing rounded of them, but of what its trees say.

    Args:
        model: a program in double precision, with the outputs that are asked for.
        rows: rows x columns, two or more, with which the program is computed once to see its tensors.

    Raises:
        Unconvertible: it computes in single precision, or decides where no distance can be told.
    """
    plain = without_sigmoids(_pruned(model))
    reading = _Reading(plain, _seen(plain, rows))
    for node in plain.graph.node:
        reading.read(node)
    return reading.marked(), reading.everywhere


def _pruned(model: ModelProto) -> ModelProto:
    """The same program without what no output needs."""
    needed = {output.name for output in model.graph.output}
    kept: list[NodeProto] = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    found = ModelProto()
    found.CopyFrom(model)
    del found.graph.node[:], found.graph.initializer[:]
    found.graph.node.extend(reversed(kept))
    found.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in needed)
    return found


def without_sigmoids(model: ModelProto) -> ModelProto:
    """The same program with 1 / (1 + exp(-x)): the runtime's Sigmoid is off for numbers that are far from 0."""
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.op_type != "Sigmoid":
            model.graph.node.append(node)
            continue
        name, one = node.output[0], f"{node.output[0]}_one"
        model.graph.initializer.append(numpy_helper.from_array(np.array([1.0]), one))
        model.graph.node.extend([
            helper.make_node("Neg", [node.input[0]], [f"{name}_against"]),
            helper.make_node("Exp", [f"{name}_against"], [f"{name}_power"]),
            helper.make_node("Add", [f"{name}_power", one], [f"{name}_sum"]),
            helper.make_node("Div", [one, f"{name}_sum"], [name]),
        ])  # fmt: skip
    return model


def _seen(model: ModelProto, rows: Array) -> dict[str, Array]:
    """Every tensor of a program for some rows."""
    open_ = ModelProto()
    open_.CopyFrom(model)
    names = [name for node in open_.graph.node for name in node.output if name]
    del open_.graph.output[:]
    open_.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    feed = {value.name: rows for value in open_.graph.input}
    try:
        found = dict(zip(names, session_of(open_.SerializeToString()).run(names, feed, None), strict=True))
    except Exception as error:
        raise Unconvertible(f"ONNX Runtime does not compute its program ({type(error).__name__})") from error
    return (
        {name: np.asarray(values) for name, values in found.items()}
        | feed
        | {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    )


class _Reading:
    """What is known of the tensors of a program, node by node.

    Args:
        model: that is read.
        seen: each tensor for some rows.
    """

    def __init__(self, model: ModelProto, seen: dict[str, Array]) -> None:
        self._model = model
        self._seen = seen
        self._constants = {tensor.name for tensor in model.graph.initializer}
        self._exact = {value.name for value in model.graph.input} | self._constants
        #: Tensors that only change where something is decided.
        self._steps = set(self._constants)
        #: Whether nothing is decided over rounded numbers that change with the rows.
        self._anywhere = True
        #: Tensors of zeros and ones.
        self._bits: set[str] = set()
        self._added: list[NodeProto] = []
        self._margins: list[str] = []

    def read(self, node: NodeProto) -> None:
        """Tell whether a node's results are exact; note the margin if it decides over rounded numbers."""
        if node.op_type not in RULES:
            raise Unconvertible(f"its program computes with {node.op_type}, of which nothing is known")
        inputs = [name for name in node.input if name]
        exact, steps = (all(name in known for name in inputs) for known in (self._exact, self._steps))
        noted = len(self._margins)
        if RULES[node.op_type](self, node, inputs, exact):
            self._exact.update(node.output)
        self._anywhere &= steps or len(self._margins) == noted
        if node.op_type in DECISIONS or steps:
            self._steps.update(node.output)
        self._check_precision(node)

    def read_plain(self, _node: NodeProto, _inputs: Sequence[str], exact: bool) -> bool:
        """Numbers are moved, or each has one right result."""
        return exact

    def read_rounded(self, node: NodeProto, inputs: Sequence[str], _exact: bool) -> bool:
        """Zeros and ones times whole numbers have one sum in any order; nothing else has."""
        if node.op_type != "MatMul" or inputs[0] not in self._bits or inputs[1] not in self._constants:
            return False
        factors = self._seen[inputs[1]]
        return bool(np.all(factors % 1 == 0) and np.abs(factors).sum(axis=0).max(initial=0) < DOUBLE)

    def read_comparison(self, _node: NodeProto, inputs: Sequence[str], exact: bool) -> bool:
        """Two tensors are compared."""
        self._decide(exact, lambda: self._apart(inputs))
        return True

    def read_place(self, node: NodeProto, inputs: Sequence[str], exact: bool) -> bool:
        """The place of the largest or the smallest number of a row is sought."""
        alone = self._seen[inputs[0]].shape[-1] == 1
        if attributes_of(node).get("axis", 0) not in (1, -1):
            raise Unconvertible("it chooses from numbers that are not in rows")
        self._decide(exact or alone, lambda: self._ahead(inputs[0], PLACES[node.op_type]))
        return True

    def read_sign(self, _node: NodeProto, inputs: Sequence[str], exact: bool) -> bool:
        """Numbers are compared with 0."""
        self._decide(exact, lambda: inputs[0])
        return True

    def read_step(self, _node: NodeProto, _inputs: Sequence[str], exact: bool) -> bool:
        """Numbers become whole."""
        if not exact:
            raise Unconvertible("it rounds numbers that it has computed")
        return True

    def read_cast(self, node: NodeProto, inputs: Sequence[str], exact: bool) -> bool:
        """Numbers become of another type."""
        kind = attributes_of(node)["to"]
        if self._seen[inputs[0]].dtype == np.bool_ and exact:
            self._bits.update(node.output)
        if exact or kind in (TensorProto.DOUBLE, TensorProto.FLOAT):
            return exact
        if kind != TensorProto.BOOL:
            raise Unconvertible("it rounds numbers that it has computed")
        return self.read_sign(node, inputs, exact)

    def read_trees(self, node: NodeProto, _inputs: Sequence[str], exact: bool) -> bool:
        """Rows go through trees, and leaves are added."""
        if not exact:
            raise Unconvertible("its trees are asked about numbers that were computed before")
        if not sums_are_exact(node, TREES[node.op_type]):
            raise Unconvertible("the leaves of its trees are added in single precision")
        return True

    @property
    def everywhere(self) -> bool:
        """Whether all outputs are exact, or the same wherever the same is decided."""
        names = {output.name for output in self._model.graph.output} - {MARGIN}
        return names <= self._exact | self._steps and self._anywhere

    def marked(self) -> ModelProto:
        """The program, with its margin if there is one."""
        if self._margins:
            self._model.graph.node.extend([*self._added, *self._smallest()])
            margin = helper.make_tensor_value_info(MARGIN, TensorProto.DOUBLE, [None, 1])
            self._model.graph.output.append(margin)
        return self._model

    def _decide(self, exact: bool, distance: Callable[[], str]) -> None:
        """Note how far numbers are from what they are compared with, if they are rounded."""
        if exact:
            return
        name = distance()
        if self._seen[name].ndim != 2:  # noqa: PLR2004
            raise Unconvertible("it decides over numbers that are not in rows")
        size = self._add("Abs", [name])
        if self._seen[name].shape[1] > 1:
            size = self._add("ReduceMin", [size], axes=[1], keepdims=1)
        self._margins.append(size)

    def _apart(self, inputs: Sequence[str]) -> str:
        """The difference of two tensors that are compared."""
        shapes = [self._seen[name].shape for name in inputs]
        if max(map(len, shapes)) != 2:  # noqa: PLR2004
            raise Unconvertible("it compares numbers that are not in rows")
        return self._add("Sub", inputs, np.subtract(*(self._seen[name] for name in inputs)))

    def _ahead(self, name: str, largest: int) -> str:
        """How far the best number of each row is ahead of the next."""
        values = self._seen[name]
        if values.ndim != 2 or values.shape[1] < 2:  # noqa: PLR2004
            raise Unconvertible("it chooses from numbers that are not in rows")
        if values.shape[1] > 2:  # noqa: PLR2004
            count = self._constant(np.array([2], dtype=np.int64))
            name = self._add("TopK", [name, count], values[:, :2], outputs=2, axis=1, largest=largest)
        return self._add("MatMul", [name, self._constant(np.array([[1.0], [-1.0]]))], values[:, :1])

    def _check_precision(self, node: NodeProto) -> None:
        """Raises Unconvertible if numbers are computed in single precision, and not only rounded to it."""
        if node.op_type in MOVES or node.op_type in TREES or node.op_type == "Cast":
            return
        if any(self._seen[name].dtype == np.float32 for name in [*node.output, *node.input] if name):
            raise Unconvertible(f"its program computes with {node.op_type} in single precision")

    def _smallest(self) -> list[NodeProto]:
        """The smallest of all margins as an output."""
        if len(self._margins) == 1:
            return [helper.make_node("Identity", self._margins, [MARGIN])]
        return [
            helper.make_node("Concat", self._margins, ["margins"], axis=1),
            self._reduced(["margins"], MARGIN),
        ]

    def _reduced(self, inputs: list[str], output: str) -> NodeProto:
        version = next(entry.version for entry in self._model.opset_import if not entry.domain)
        if version >= 18:  # noqa: PLR2004 - from then on the axes are an input
            axes = self._constant(np.array([1], dtype=np.int64))
            return helper.make_node("ReduceMin", [*inputs, axes], [output], keepdims=1)
        return helper.make_node("ReduceMin", inputs, [output], axes=[1], keepdims=1)

    def _add(
        self, kind: str, inputs: Sequence[str], like: Array | None = None, outputs: int = 1, **attributes: Any
    ) -> str:
        """Add a node behind the program; the name of its first result, which looks like these values."""
        name = f"margin_{len(self._added)}"
        self._seen[name] = self._seen[inputs[0]] if like is None else like
        if kind == "ReduceMin":
            self._added.append(self._reduced(list(inputs), name))
            return name
        more = [f"{name}_{place}" for place in range(1, outputs)]
        self._added.append(helper.make_node(kind, inputs, [name, *more], **attributes))
        return name

    def _constant(self, values: Array) -> str:
        name = f"margin_constant_{len(self._model.graph.initializer)}"
        self._model.graph.initializer.append(numpy_helper.from_array(values, name))
        return name


#: Operator -> how it is read. Of what is not here nothing is known.
RULES: dict[str, Callable[[_Reading, NodeProto, Sequence[str], bool], bool]] = {
    **dict.fromkeys(MOVES | EXACT | LOGICAL | EXTREMES, _Reading.read_plain),
    **dict.fromkeys(ROUNDED, _Reading.read_rounded),
    **dict.fromkeys(COMPARISONS, _Reading.read_comparison),
    **dict.fromkeys(PLACES, _Reading.read_place),
    **dict.fromkeys(STEPS, _Reading.read_step),
    **dict.fromkeys(TREES, _Reading.read_trees),
    "Cast": _Reading.read_cast,
    "Sign": _Reading.read_sign,
}


def sums_are_exact(node: NodeProto, kind: str) -> bool:
    """Whether the leaves of an ensemble are so few whole numbers of one unit that no sum of them is rounded."""
    attributes = attributes_of(node)
    weights = np.asarray(
        attributes.get(f"{kind}_weights_as_tensor", attributes.get(f"{kind}_weights")), dtype=float
    )
    base = np.ravel(attributes.get("base_values", ()))
    if base.size or attributes.get("post_transform", b"NONE") != b"NONE":
        return False
    if attributes.get("aggregate_function", b"SUM") != b"SUM":
        return False
    trees, targets = (np.asarray(attributes[f"{kind}_{name}"]) for name in ("treeids", "ids"))
    return all(
        _is_exact(weights[targets == target], trees[targets == target]) for target in np.unique(targets).tolist()
    )


def _is_exact(weights: Array, trees: Array) -> bool:
    largest = [np.abs(weights[trees == tree]).max() for tree in _each(trees)]
    unit = 2.0 ** min((_last_bit(weight) for weight in np.unique(np.abs(weights[weights != 0]))), default=0)
    return bool(sum(largest) <= SINGLE * unit)


def _each(values: Array) -> Iterable[Any]:
    return np.unique(values).tolist()  # type: ignore[no-any-return]


def _last_bit(number: float) -> int:
    """The exponent of the last bit of a number."""
    above, below = float(number).as_integer_ratio()
    return (above & -above).bit_length() - 1 - (below.bit_length() - 1)
