"""Support vector machines as programs: the kernels and the votes of libsvm, in double precision.

Scores of pairs and their votes: Chang and Lin, LIBSVM: a library for support vector machines,
https://www.csie.ntu.edu.tw/~cjlin/papers/libsvm.pdf
"""

from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

from model_store.acceleration.operators import (
    constant,
    double,
    flat,
    give,
    give_label,
    number,
    op,
    total,
    weighted,
)
from model_store.acceleration.report import Unconvertible

Array = NDArray[Any]


def converters() -> dict[type, Callable[[Any, Any, Any], None]]:
    """Estimator's type -> what skl2onnx calls to convert it."""
    return {
        **dict.fromkeys((SVC, NuSVC), _convert_classifier),
        **dict.fromkeys((SVR, NuSVR), _convert_regressor),
        OneClassSVM: _convert_outliers,
    }


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    give(operator, container, _one_score(scope, operator, container), 0)


def _convert_outliers(scope: Any, operator: Any, container: Any) -> None:
    score = _one_score(scope, operator, container)
    against = op(scope, container, "Neg", [score])
    both = op(scope, container, "Concat", [against, score], axis=1)
    give_label(scope, operator, container, both, [-1, 1])
    give(operator, container, flat(scope, container, score), 1)


def _one_score(scope: Any, operator: Any, container: Any) -> str:
    machine = operator.raw_operator
    kernel = _kernel(scope, container, operator.inputs[0].full_name, machine)
    return weighted(scope, container, kernel, machine.dual_coef_.T, machine.intercept_)


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Labels by the votes of pairs of classes; the second output is the decision function."""
    machine = operator.raw_operator
    kernel = _kernel(scope, container, operator.inputs[0].full_name, machine)
    # Those without an underscore have another sign where there are two classes.
    pairs = weighted(scope, container, kernel, _weights_of_pairs(machine), machine._intercept_)
    if len(machine.classes_) == 2:  # noqa: PLR2004
        second = op(scope, container, "Neg", [pairs])
        both = op(scope, container, "Concat", [pairs, second], axis=1)
        give_label(scope, operator, container, both, machine.classes_)
        give(operator, container, flat(scope, container, second), 1)
        return
    votes, scores = _of_classes(scope, container, pairs, len(machine.classes_))
    give_label(scope, operator, container, scores if machine.break_ties else votes, machine.classes_)
    give(operator, container, scores if machine.decision_function_shape == "ovr" else pairs, 1)


def _weights_of_pairs(machine: Any) -> Array:
    """Support vectors x pairs of classes: what each vector counts in the score of a pair."""
    ends = np.cumsum([0, *machine.n_support_])
    of_class = [slice(start, end) for start, end in pairwise(ends)]
    pairs = list(combinations(range(len(of_class)), 2))
    weights = np.zeros((ends[-1], len(pairs)))
    for column, (first, second) in enumerate(pairs):
        weights[of_class[first], column] = machine._dual_coef_[second - 1, of_class[first]]
        weights[of_class[second], column] = machine._dual_coef_[first, of_class[second]]
    return weights


def _of_classes(scope: Any, container: Any, pairs: str, classes: int) -> tuple[str, str]:
    """The votes for each class, and its score: the votes, and less than one more by the scores of its pairs."""
    both = list(combinations(range(classes), 2))
    sides = np.zeros((len(both), classes))
    for row, (first, second) in enumerate(both):
        sides[row, first], sides[row, second] = 1.0, -1.0
    won = double(scope, container, op(scope, container, "Greater", [pairs, number(scope, container, 0.0)]))
    votes = weighted(scope, container, won, sides, (sides < 0).sum(axis=0).astype(float))
    confidence = op(scope, container, "MatMul", [pairs, constant(scope, container, sides)])
    size = op(scope, container, "Add", [op(scope, container, "Abs", [confidence]), number(scope, container, 1.0)])
    part = op(
        scope, container, "Div",
        [confidence, op(scope, container, "Mul", [size, number(scope, container, 3.0)])],
    )  # fmt: skip
    return votes, op(scope, container, "Add", [votes, part])


def _kernel(scope: Any, container: Any, rows: str, machine: Any) -> str:
    """Rows x support vectors."""
    vectors = machine.support_vectors_
    if machine.kernel not in KERNELS or machine._sparse or not len(vectors):
        raise Unconvertible("its kernel is not one of libsvm's on plain numbers")
    return KERNELS[machine.kernel](scope, container, rows, machine)


def _product(scope: Any, container: Any, rows: str, vectors: Array, factor: float = 1.0) -> str:
    return op(scope, container, "MatMul", [rows, constant(scope, container, factor * vectors.T)])


def _linear(scope: Any, container: Any, rows: str, machine: Any) -> str:
    return _product(scope, container, rows, machine.support_vectors_)


def _radial(scope: Any, container: Any, rows: str, machine: Any) -> str:
    """exp(-gamma |row - vector|^2), taken apart into products around the middle of the vectors."""
    middle = machine.support_vectors_.mean(axis=0)
    vectors, gamma = machine.support_vectors_ - middle, machine._gamma
    rows = op(scope, container, "Sub", [rows, constant(scope, container, middle[None, :])])
    squares = op(scope, container, "Mul", [rows, rows])
    product = _product(scope, container, rows, vectors, 2 * gamma)
    power = op(scope, container, "Add", [product, total(scope, container, squares, vectors.shape[1], -gamma)])
    lengths = constant(scope, container, -gamma * (vectors**2).sum(axis=1)[None, :])
    return op(scope, container, "Exp", [op(scope, container, "Add", [power, lengths])])


def _moved(scope: Any, container: Any, rows: str, machine: Any) -> str:
    product = _product(scope, container, rows, machine.support_vectors_, machine._gamma)
    return op(scope, container, "Add", [product, number(scope, container, machine.coef0)])


def _polynomial(scope: Any, container: Any, rows: str, machine: Any) -> str:
    """A power by squares, as libsvm takes it."""
    power, left, found = _moved(scope, container, rows, machine), int(machine.degree), ""
    while left:
        if left % 2:
            found = op(scope, container, "Mul", [found, power]) if found else power
        left //= 2
        power = op(scope, container, "Mul", [power, power]) if left else power
    if not found:
        raise Unconvertible("its kernel is the same everywhere")
    return found


def _tangent(scope: Any, container: Any, rows: str, machine: Any) -> str:
    return op(scope, container, "Tanh", [_moved(scope, container, rows, machine)])


KERNELS = {"linear": _linear, "poly": _polynomial, "rbf": _radial, "sigmoid": _tangent}
