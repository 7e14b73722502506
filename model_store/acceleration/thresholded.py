"""Classifiers with a tuned threshold as programs: it decides over the probabilities of the classifier inside."""

from collections.abc import Callable
from typing import Any

from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType
from sklearn.model_selection import TunedThresholdClassifierCV

from model_store.acceleration.operators import chosen, give, give_label, number, op
from model_store.acceleration.report import Unconvertible


def converters() -> dict[type, Callable[[Any, Any, Any], None]]:
    """Estimator's type -> what skl2onnx calls to convert it."""
    return {TunedThresholdClassifierCV: _convert}


def _convert(scope: Any, operator: Any, container: Any) -> None:
    tuned = operator.raw_operator
    inner = tuned.estimator_
    by_probability = tuned.response_method in ("auto", "predict_proba") and hasattr(inner, "predict_proba")
    positive = getattr(tuned, "_curve_scorer", None)
    positive = positive._get_pos_label() if positive is not None else None
    if (
        not by_probability
        or positive not in (None, tuned.classes_[1])
        or type(inner) not in sklearn_operator_name_map
    ):
        raise Unconvertible("its threshold is not one of the second class's probability")
    part = scope.declare_local_operator(sklearn_operator_name_map[type(inner)], inner)
    part.inputs = operator.inputs
    part.outputs.append(scope.declare_local_variable("label", Int64TensorType()))
    part.outputs.append(scope.declare_local_variable("probabilities", DoubleTensorType()))
    probabilities = part.outputs[1].full_name
    second = chosen(scope, container, probabilities, [1])
    beyond = op(scope, container, "Sub", [second, number(scope, container, tuned.best_threshold_)])
    both = op(scope, container, "Concat", [op(scope, container, "Neg", [beyond]), beyond], axis=1)
    give_label(scope, operator, container, both, tuned.classes_)
    give(operator, container, probabilities, 1)
