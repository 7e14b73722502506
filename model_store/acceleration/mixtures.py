"""Gaussian mixtures as programs: the formulas of sklearn.mixture for each form of the covariance."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.mixture._gaussian_mixture import _compute_log_det_cholesky, _estimate_log_gaussian_prob

from model_store.acceleration.operators import constant, give, give_label, op, total, weighted

Array = NDArray[Any]


def converters() -> dict[type, Callable[[Any, Any, Any], None]]:
    """Estimator's type -> what skl2onnx calls to convert it."""
    return dict.fromkeys((GaussianMixture, BayesianGaussianMixture), _convert)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    mixture, rows = operator.raw_operator, operator.inputs[0].full_name
    distances = DISTANCES.get(mixture.covariance_type, _diagonal)(scope, container, rows, mixture)
    scores = weighted(scope, container, distances, -0.5 * np.eye(len(mixture.means_)), _constants(mixture))
    give_label(scope, operator, container, scores, range(len(mixture.means_)))
    give(operator, container, op(scope, container, "Softmax", [scores], axis=1), 1)


def _constants(mixture: Any) -> Array:
    """What is added to the distances of a row for its weighted log-probability in each component."""
    means, form, width = mixture.means_, mixture.covariance_type, mixture.means_.shape[1]
    roots = mixture.precisions_cholesky_
    plain = _compute_log_det_cholesky(roots, form, width) - 0.5 * width * math.log(2 * math.pi)
    more = mixture._estimate_log_prob(means[:1]) - _estimate_log_gaussian_prob(means[:1], means, roots, form)
    return np.asarray(plain + more.ravel() + mixture._estimate_log_weights())


def _rotated(scope: Any, container: Any, rows: str, mixture: Any) -> str:
    """Squared lengths of (row - mean) times a root of the precision, of which each component has one, or all."""
    means, roots = mixture.means_, mixture.precisions_cholesky_
    roots = np.broadcast_to(roots, (len(means), *roots.shape[-2:]))
    columns = []
    for mean, root in zip(means, roots, strict=True):
        found = weighted(scope, container, rows, root, -(mean @ root))
        columns.append(total(scope, container, op(scope, container, "Mul", [found, found]), len(mean)))
    return columns[0] if len(columns) == 1 else op(scope, container, "Concat", columns, axis=1)


def _diagonal(scope: Any, container: Any, rows: str, mixture: Any) -> str:
    """The same where precisions are one number for each column, or one for all."""
    means, roots = mixture.means_, mixture.precisions_cholesky_
    precisions = np.broadcast_to((roots**2).reshape(len(means), -1), means.shape)
    squares = op(scope, container, "Mul", [rows, rows])
    start = weighted(scope, container, rows, -2.0 * (means * precisions).T, (means**2 * precisions).sum(axis=1))
    more = op(scope, container, "MatMul", [squares, constant(scope, container, np.array(precisions.T))])
    return op(scope, container, "Add", [start, more])


DISTANCES = {"full": _rotated, "tied": _rotated}
