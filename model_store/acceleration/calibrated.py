"""Calibrated classifiers as programs: a sigmoid for the score of each class, and the mean of several of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType
from sklearn.calibration import CalibratedClassifierCV, _SigmoidCalibration

from model_store.acceleration.linear import shares
from model_store.acceleration.operators import (
    chosen,
    constant,
    give,
    give_label,
    integers,
    likely,
    number,
    of_two,
    op,
)
from model_store.acceleration.report import Unconvertible


def converters() -> dict[type, Callable[[Any, Any, Any], None]]:
    """Estimator's type -> what skl2onnx calls to convert it."""
    return {CalibratedClassifierCV: _convert}


def _convert(scope: Any, operator: Any, container: Any) -> None:
    calibrated = operator.raw_operator
    parts = [_probabilities(scope, operator, container, one) for one in calibrated.calibrated_classifiers_]
    together = parts[0]
    for part in parts[1:]:
        together = op(scope, container, "Add", [together, part])
    mean = op(scope, container, "Div", [together, number(scope, container, float(len(parts)))])
    give_label(scope, operator, container, mean, calibrated.classes_)
    give(operator, container, mean, 1)


def _probabilities(scope: Any, operator: Any, container: Any, one: Any) -> str:
    inner, sigmoids = one.estimator, one.calibrators
    if not all(isinstance(sigmoid, _SigmoidCalibration) for sigmoid in sigmoids):
        raise Unconvertible("it is not calibrated by sigmoids")
    if not np.array_equal(one.classes, inner.classes_) or type(inner) not in sklearn_operator_name_map:
        raise Unconvertible("its parts do not know all of its classes, or have no program")
    slopes, starts = (np.array([getattr(sigmoid, name) for sigmoid in sigmoids]) for name in ("a_", "b_"))
    scores = op(
        scope,
        container,
        "Mul",
        [_scores(scope, operator, container, inner), constant(scope, container, slopes[None, :])],
    )
    moved = op(scope, container, "Add", [scores, constant(scope, container, starts[None, :])])
    found = likely(scope, container, op(scope, container, "Neg", [moved]))
    if len(sigmoids) == 1:
        return of_two(scope, container, found)
    return shares(scope, container, found, len(sigmoids))


def _scores(scope: Any, operator: Any, container: Any, inner: Any) -> str:
    """The decision function of a classifier, or else its probabilities: one column for two classes."""
    part = scope.declare_local_operator(sklearn_operator_name_map[type(inner)], inner)
    part.inputs = operator.inputs
    part.outputs.append(scope.declare_local_variable("label", Int64TensorType()))
    part.outputs.append(scope.declare_local_variable("scores", DoubleTensorType()))
    scores, classes = str(part.outputs[1].full_name), len(inner.classes_)
    if not hasattr(inner, "decision_function"):
        return chosen(scope, container, scores, [1]) if classes == 2 else scores  # noqa: PLR2004
    if hasattr(inner, "predict_proba"):
        raise Unconvertible(f"the program of its {type(inner).__name__} gives probabilities, and no scores")
    one_column = integers(scope, container, [-1, 1])
    return op(scope, container, "Reshape", [scores, one_column]) if classes == 2 else scores  # noqa: PLR2004
