"""What the outputs of the operators of ai.onnx.ml are like: linear models, trees and support vector machines."""

from typing import Any

import numpy as np
from onnx import TensorProto

from model_store.formats.onnx.ensembles import ensemble_fault, outputs_of
from model_store.formats.onnx.operator_outputs import MAX_WIDTH, width_of
from model_store.formats.onnx.tensors import Node, Tensor, Unbounded


def linear_regressor(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """LinearRegressor: a number for each target."""
    attributes = node.attributes
    targets = int(attributes.get("targets", 1))
    _check_linear(attributes, targets, width_of(inputs[0]))
    return [Tensor(TensorProto.FLOAT, targets)]


def linear_classifier(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """LinearClassifier: a label, and a score for each."""
    attributes = node.attributes
    label, labels = _label(attributes)
    scores = len(attributes.get("intercepts", ())) or labels
    if labels != (2 if scores == 1 else scores):
        raise Unbounded("the classifier has not one score for each label")
    _check_linear(attributes, scores, width_of(inputs[0]))
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
    if wrong := ensemble_fault(node.op_type, node.attributes, width_of(inputs[0])):
        raise Unbounded(wrong)
    attributes = node.attributes
    outputs = outputs_of(attributes, kind)
    if not 1 <= outputs <= MAX_WIDTH or len(attributes.get("base_values", ())) not in (0, 1, outputs):
        raise Unbounded("the ensemble has an impossible number of outputs")
    return outputs


def svm_regressor(node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """SVMRegressor: a number."""
    attributes = node.attributes
    vectors = support_vectors(attributes)
    _check_support(attributes, vectors, width_of(inputs[0]))
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
    _check_support(attributes, vectors, width_of(inputs[0]))
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
