"""Linear classifiers as programs: scikit-learn's own formulas for labels, probabilities and scores."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    PassiveAggressiveClassifier,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.svm import LinearSVC

from model_store.acceleration.operators import (
    chosen,
    flat,
    give,
    give_label,
    likely,
    number,
    of_two,
    op,
    total,
    weighted,
)
from model_store.acceleration.report import Unconvertible

TYPES = (
    LinearDiscriminantAnalysis, LinearSVC, LogisticRegression, LogisticRegressionCV, PassiveAggressiveClassifier,
    Perceptron, RidgeClassifier, RidgeClassifierCV, SGDClassifier,
)  # fmt: skip


def converters() -> dict[type, Callable[[Any, Any, Any], None]]:
    """Estimator's type -> what skl2onnx calls to convert it."""
    return dict.fromkeys(TYPES, _convert)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    estimator = operator.raw_operator
    weights, constants = np.atleast_2d(estimator.coef_), np.atleast_1d(estimator.intercept_)
    if len(weights) not in (1, len(estimator.classes_)) or not hasattr(estimator.classes_, "dtype"):
        raise Unconvertible("it has not one label for each row")
    binary = len(weights) == 1
    if binary:  # of one score, which is above 0 for the second class
        weights, constants = np.vstack([-weights, weights]), np.concatenate([-constants, constants])
    constants = np.broadcast_to(constants, len(weights))
    scores = weighted(scope, container, operator.inputs[0].full_name, weights.T, constants)
    give_label(scope, operator, container, scores, estimator.classes_)
    second = chosen(scope, container, scores, [1]) if binary else scores
    if hasattr(estimator, "predict_proba"):
        give(operator, container, _probabilities(scope, container, estimator, second), 1)
    else:
        give(operator, container, flat(scope, container, second) if binary else second, 1)


def _probabilities(scope: Any, container: Any, estimator: Any, scores: str) -> str:
    """Of the score of the second class, or of one for each class."""
    classes = len(estimator.classes_)
    if getattr(estimator, "loss", "log_loss") != "log_loss":
        raise Unconvertible("its probabilities are those of another loss")
    if classes == 2:  # noqa: PLR2004
        return of_two(scope, container, likely(scope, container, scores))
    if not isinstance(estimator, SGDClassifier):
        return op(scope, container, "Softmax", [scores], axis=1)
    return shares(scope, container, likely(scope, container, scores), classes)


def shares(scope: Any, container: Any, parts: str, width: int) -> str:
    """Numbers in parts of their sum; all the same where the sum is 0."""
    together = total(scope, container, parts, width)
    nothing = op(scope, container, "Equal", [together, number(scope, container, 0.0)])
    divided = op(scope, container, "Div", [parts, together])
    return op(scope, container, "Where", [nothing, number(scope, container, 1 / width), divided])
