"""Operators that are added to the program which skl2onnx is making, in double precision."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

ML = "ai.onnx.ml"


def constant(scope: Any, container: Any, values: NDArray[Any]) -> str:
    """Add numbers of double precision; their name."""
    name = str(scope.get_unique_variable_name("constant"))
    container.add_initializer(name, TensorProto.DOUBLE, list(values.shape), values.ravel().tolist())
    return name


def number(scope: Any, container: Any, value: float) -> str:
    """Add one number, which is combined with every row; its name."""
    return constant(scope, container, np.array([value]))


def double(scope: Any, container: Any, name: str) -> str:
    """The name of a result in double precision."""
    return op(scope, container, "Cast", [name], to=TensorProto.DOUBLE)


def op(scope: Any, container: Any, kind: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
    """Add an operator; the name of its result."""
    result = str(scope.get_unique_variable_name(kind.lower()))
    container.add_node(
        kind, inputs, [result], op_domain=domain, op_version=1 if domain else 13, name=unique(scope), **attributes
    )
    return result


def give(operator: Any, container: Any, source: str, output: int) -> None:
    """Give a result the name that skl2onnx expects."""
    target = operator.outputs[output].full_name
    container.add_node("Identity", [source], [target], op_version=13, name=f"name_{target}")


def unique(scope: Any) -> str:
    """A name for an operator."""
    return str(scope.get_unique_operator_name("operator"))


def chosen(scope: Any, container: Any, rows: str, columns: list[int]) -> str:
    """The name of these columns of a result."""
    return op(scope, container, "ArrayFeatureExtractor", [rows, integers(scope, container, columns)], domain=ML)


def integers(scope: Any, container: Any, values: list[int]) -> str:
    """Add whole numbers; their name."""
    name = str(scope.get_unique_variable_name("integers"))
    container.add_initializer(name, TensorProto.INT64, [len(values)], values)
    return name


def weighted(scope: Any, container: Any, rows: str, weights: NDArray[Any], constants: NDArray[Any]) -> str:
    """Rows times weights (columns x outputs) and constants (one for each output) added."""
    product = op(scope, container, "MatMul", [rows, constant(scope, container, weights)])
    return op(scope, container, "Add", [product, constant(scope, container, constants.reshape(1, -1))])


def total(scope: Any, container: Any, rows: str, width: int, factor: float = 1.0) -> str:
    """The sum of each row, times a factor, as one column."""
    return op(scope, container, "MatMul", [rows, constant(scope, container, np.full((width, 1), factor))])


def likely(scope: Any, container: Any, scores: str) -> str:
    """1 / (1 + exp(-scores)). The runtime's own Sigmoid is off for numbers that are far from 0."""
    one = number(scope, container, 1.0)
    power = op(scope, container, "Exp", [op(scope, container, "Neg", [scores])])
    return op(scope, container, "Div", [one, op(scope, container, "Add", [power, one])])


def of_two(scope: Any, container: Any, second: str) -> str:
    """The probabilities of two classes by that of the second."""
    first = op(scope, container, "Sub", [number(scope, container, 1.0), second])
    return op(scope, container, "Concat", [first, second], axis=1)


def flat(scope: Any, container: Any, column: str) -> str:
    """One column as one number for each row."""
    return op(scope, container, "Reshape", [column, integers(scope, container, [-1])])


def give_label(scope: Any, operator: Any, container: Any, scores: str, labels: Sequence[Any]) -> None:
    """The label of the column with the highest score, of several the first, is the first output."""
    index = op(scope, container, "ArgMax", [scores], axis=1, keepdims=0)
    table = scope.get_unique_variable_name("classes")
    if np.asarray(labels).dtype.kind in "UO":
        container.add_initializer(
            table, TensorProto.STRING, [len(labels)], [str(label).encode() for label in labels]
        )
    else:
        container.add_initializer(table, TensorProto.INT64, [len(labels)], [int(label) for label in labels])
    found = op(scope, container, "ArrayFeatureExtractor", [table, index], domain=ML)
    give(operator, container, flat(scope, container, found), 0)
