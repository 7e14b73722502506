"""Small ONNX programs for the tests; `pytest.importorskip("onnx")` before this is imported."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


def program(
    nodes: Sequence[Any],
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    constants: dict[str, Any] | None = None,
    opsets: Sequence[Any] = (),
    **members: Any,
) -> Any:
    """A program of these nodes; by default from `x`, rows x 2, to `y`, rows x 2, both float."""
    graph = helper.make_graph(
        nodes,
        "g",
        list(inputs) or [value("x", FLOAT, [None, 2])],
        list(outputs) or [value("y", FLOAT, [None, 2])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=list(opsets) or OPSETS, ir_version=8, **members)


def value(name: str, type_: int, shape: Any) -> Any:
    return helper.make_tensor_value_info(name, type_, shape)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    domain = "ai.onnx.ml" if "Ensemble" in operator or "Linear" in operator or "SVM" in operator else ""
    attributes = {"domain": domain} | attributes
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def adder() -> Any:
    """Y = x + [1, 2]."""
    return program([node("Add", "x c", "y")], constants={"c": np.array([1, 2], dtype=np.float32)})


#: One tree: x[0] <= 0.5 leads to "no", anything else to "yes".
TREE: dict[str, Any] = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
    "class_treeids": [0, 0, 0, 0],
    "class_nodeids": [1, 1, 2, 2],
    "class_ids": [0, 1, 0, 1],
    "class_weights": [1.0, 0.0, 0.0, 1.0],
    "classlabels_strings": ["no", "yes"],
}


def tree(**changes: Any) -> Any:
    """The program of one tree, with some of its lists changed."""
    return program(
        [node("TreeEnsembleClassifier", "x", "label probabilities", **TREE | changes)],
        outputs=[value("label", STRING, [None]), value("probabilities", FLOAT, [None, 2])],
    )


def endless() -> Any:
    """A loop whose condition is always true."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["before"], ["after"])],
        "body",
        [value("turn", INT64, []), value("go", TensorProto.BOOL, []), value("before", FLOAT, None)],
        [value("go_on", TensorProto.BOOL, []), value("after", FLOAT, None)],
    )
    return program(
        [helper.make_node("Loop", ["", "always", "x"], ["y"], body=body)], constants={"always": np.array(True)}
    )
