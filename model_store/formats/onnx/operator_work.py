"""How many elementary steps an operator takes for a row, at the most."""

from collections.abc import Sequence

from model_store.formats.onnx.ensembles import depth_of, most_in_a_leaf, trees_of
from model_store.formats.onnx.ml_outputs import support_vectors
from model_store.formats.onnx.tensors import Node, Tensor

#: Elementary steps for a level of a tree that a row passes, for a function of a kernel or of a score, and for each
#: value of operators that take longer than to add two numbers.
LEVEL, KERNEL = 20, 40
SLOW = {
    "Div": 4, "Reciprocal": 4, "Sqrt": 8, "Round": 8, "Exp": 30, "Log": 30, "Sigmoid": 30, "Tanh": 40, "Pow": 100,
    "Softmax": 40, "LogSoftmax": 60, "Normalizer": 10, "ReduceLogSumExp": 60, "TopK": 20,
}  # fmt: skip
#: Turns in which the probabilities of a machine with several classes are found.
TURNS = 100


def each(node: Node, inputs: list[Tensor], outputs: Sequence[Tensor]) -> int:
    """Every value of the result is made of one of each input."""
    width = max(one.values for one in (*outputs, *inputs))
    return width * max(1, len(inputs)) * SLOW.get(node.op_type, 1)


def copied(_node: Node, _inputs: list[Tensor], outputs: Sequence[Tensor]) -> int:
    """Each value once."""
    return sum(one.values for one in outputs)


def nothing(_node: Node, _inputs: list[Tensor], _outputs: Sequence[Tensor]) -> int:
    """No work: what comes is passed on."""
    return 0


def multiplied(node: Node, inputs: list[Tensor], outputs: Sequence[Tensor]) -> int:
    """A sum over the columns for each value of the last result, and what is made of it."""
    return (inputs[0].values + (KERNEL if node.op_type.startswith("Linear") else 2)) * outputs[-1].values


def descended(node: Node, _inputs: list[Tensor], outputs: Sequence[Tensor]) -> int:
    """A way through each tree, and what is added at its end."""
    lists = node.attributes
    kind = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    return trees_of(lists) * LEVEL * (depth_of(lists) + most_in_a_leaf(lists, kind)) + KERNEL * outputs[-1].values


def supported(node: Node, inputs: list[Tensor], outputs: Sequence[Tensor]) -> int:
    """A kernel for each support vector, a sum for each pair of classes, and the search for probabilities."""
    attributes = node.attributes
    vectors, classes = support_vectors(attributes), len(attributes.get("vectors_per_class", ()))
    search = TURNS * 4 * classes * classes if len(attributes.get("prob_a", ())) else 0
    pairs = classes * (classes - 1) // 2
    return vectors * (inputs[0].values + KERNEL + classes) + KERNEL * (pairs + outputs[-1].values) + search
