"""Operators that are added to the program which skl2onnx is making, in double precision."""

from typing import Any

from numpy.typing import NDArray
from onnx import TensorProto
from skl2onnx.common.data_types import DoubleTensorType

ML = "ai.onnx.ml"


def constant(scope: Any, container: Any, values: NDArray[Any]) -> str:
    """Add numbers of double precision; their name."""
    name = str(scope.get_unique_variable_name("constant"))
    container.add_initializer(name, TensorProto.DOUBLE, list(values.shape), values.ravel().tolist())
    return name


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
    """Give a result the name that skl2onnx expects, and the precision of the rows."""
    given = isinstance(operator.inputs[0].type, DoubleTensorType)
    precision = TensorProto.DOUBLE if given else TensorProto.FLOAT
    target = operator.outputs[output].full_name
    container.add_node("Cast", [source], [target], op_version=13, name=f"name_{target}", to=precision)


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
