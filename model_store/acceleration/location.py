"""Where the data of an estimator lies: what it and those inside it keep of the rows that they were fitted on."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Binarizer

from model_store.acceleration.origins import Features, inside

Array = NDArray[np.float64]
#: Rows or values that are taken of what an estimator keeps.
TAKEN = 1_000
#: How far data lies around a middle, in parts of its scale.
AROUND = np.linspace(-4, 4, 33)
#: What an estimator keeps: rows like those of its data; a middle and a scale for each column; ends of columns.
ROWS = ("support_vectors_", "_fit_X", "X_fit_", "X_train_", "cluster_centers_", "theta_", "means_")
MIDDLES = (("mean_", "scale_"), ("center_", "scale_"), ("_x_mean", "_x_std"), ("mean_", "var_"))
ENDS = ("data_min_", "data_max_", "max_abs_", "statistics_", "mean_", "xbar_")
#: How large numbers are tried in a column that has no weight.
UNWEIGHTED = 1e9
#: Numbers that a weight turns into about as much as the constant beside it.
TURNED = np.array([-2.0, -1.0, -0.3, -0.1, 0.1, 0.3, 1.0, 2.0])


def thresholds(estimator: Any, features: Features) -> Iterator[tuple[int, Array]]:
    """Column -> values at which something changes, of an estimator and those inside it."""
    return _traced(estimator, features, _thresholds)


def usual(estimator: Any, features: Features) -> Iterator[tuple[int, Array]]:
    """Column -> values like those that an estimator was fitted on."""
    return _traced(estimator, features, _seen)


def ends(estimator: Any, features: Features) -> Iterator[tuple[int, Array]]:
    """Column -> how far its values may lie where an estimator keeps only what all columns have together."""
    return _traced(estimator, features, _ends)


def turned_round(estimator: Any, features: Features) -> Iterator[tuple[int, Array]]:
    """Column -> values whose products with the estimator's weights are about as large as its constants."""
    return _traced(estimator, features, _weighted)


def rows_of(estimator: Any, width: int, random: np.random.Generator) -> Array:
    """Whole rows like those that an estimator was fitted on: rows x `width`, often none."""
    with np.errstate(all="ignore"):
        found = [rows for rows in _rows(estimator, random) if rows.ndim == 2 and rows.shape[1] == width]  # noqa: PLR2004
    rows = np.vstack([np.zeros((0, width)), *found])
    return rows[np.isfinite(rows).all(axis=1)]


def _rows(estimator: Any, random: np.random.Generator) -> Iterator[Array]:
    """Rows as an estimator takes them; those of a later step are brought back through the earlier ones."""
    if hasattr(estimator, "best_estimator_"):
        yield from _rows(estimator.best_estimator_, random)
    elif isinstance(estimator, Pipeline):
        yield from _rows_of_steps([step for _, step in estimator.steps], random)
    else:
        for name in ROWS:
            kept = getattr(estimator, name, None)
            if isinstance(kept, np.ndarray) and kept.ndim == 2 and kept.dtype.kind == "f":  # noqa: PLR2004
                yield np.asarray(kept[:TAKEN], dtype=np.float64)
        spread = _spread(estimator)
        if spread is not None:
            yield from _brought_back(estimator, random.normal(size=(TAKEN, len(spread))) * spread)


def _rows_of_steps(steps: list[Any], random: np.random.Generator) -> Iterator[Array]:
    first, *others = [step for step in steps if step not in ("passthrough", None)] or [None]
    yield from _rows(first, random)
    for rows in _rows_of_steps(others, random) if others else ():
        yield from _brought_back(first, rows)


def _brought_back(step: Any, rows: Array) -> Iterator[Array]:
    try:
        yield np.asarray(step.inverse_transform(rows), dtype=np.float64)
    except Exception:  # noqa: BLE001 - it has no way back, or not for these rows
        return


def _spread(estimator: Any) -> Any:
    """How far what a transformer gives lies around 0, where it keeps that."""
    for name in ("explained_variance_", "singular_values_"):
        kept = getattr(estimator, name, None)
        if kept is not None and hasattr(estimator, "inverse_transform"):
            return np.sqrt(kept) if name == "explained_variance_" else kept
    return np.ones(len(estimator.lambdas_)) if getattr(estimator, "standardize", False) else None


def _traced(
    estimator: Any, features: Features, told: Callable[[Any], Iterable[tuple[int, Any]]]
) -> Iterator[tuple[int, Array]]:
    for inner, known in inside(estimator, features):
        for feature, numbers in told(inner):
            origin = known[feature] if feature < len(known) else None
            values = np.asarray(numbers, dtype=np.float64).ravel()
            values = values[np.isfinite(values)]  # a tree that splits off what is missing does so at infinity
            if origin is not None and len(values):
                yield origin.column, origin.back(values)


def _thresholds(estimator: Any) -> Iterator[tuple[int, Array]]:
    tree = getattr(estimator, "tree_", None)
    if tree is not None:
        yield from _by_column(tree.feature, tree.threshold, tree.children_left >= 0)
    for row in getattr(estimator, "_predictors", None) or ():
        for predictor in row:
            nodes = predictor.nodes
            yield from _by_column(nodes["feature_idx"], nodes["num_threshold"], nodes["is_leaf"] == 0)
    sought = getattr(estimator, "missing_values", None)
    if isinstance(sought, int | float) and np.isfinite(sought):
        yield from ((column, np.array([sought])) for column in range(getattr(estimator, "n_features_in_", 0)))
    if isinstance(estimator, Binarizer):
        yield from ((column, np.array([estimator.threshold])) for column in range(estimator.n_features_in_))
    for name in ("bin_edges_", "quantiles_"):
        yield from enumerate(_columns(getattr(estimator, name, None)))


def _by_column(columns: Any, values: Any, chosen: Any) -> Iterator[tuple[int, Array]]:
    for column in np.unique(columns[chosen]).tolist():
        yield int(column), values[chosen & (columns == column)]


def _columns(kept: Any) -> Iterable[Array]:
    if isinstance(kept, np.ndarray) and kept.ndim == 2:  # noqa: PLR2004
        return list(kept.T)
    return list(kept) if isinstance(kept, np.ndarray) and kept.dtype == object else []


def _seen(estimator: Any) -> Iterator[tuple[int, Array]]:
    for name in ROWS:
        kept = getattr(estimator, name, None)
        if isinstance(kept, np.ndarray) and kept.ndim == 2:  # noqa: PLR2004
            yield from enumerate(kept[:TAKEN].T)
    for name in ENDS:
        kept = getattr(estimator, name, None)
        if isinstance(kept, np.ndarray) and kept.dtype.kind == "f" and kept.ndim == 1:
            yield from enumerate(kept[:, None])
    for middle, scale in _middles(estimator):
        if middle.shape == scale.shape and middle.ndim == 1:
            yield from enumerate(middle[:, None] + np.abs(scale)[:, None] * AROUND)


def _ends(estimator: Any) -> Iterator[tuple[int, Array]]:
    largest = getattr(estimator, "singular_values_", None)
    if largest is None or not hasattr(estimator, "components_"):
        return
    count, width = estimator.components_.shape
    if not hasattr(estimator, "mean_"):
        yield from ((column, np.array([-1.0, 1.0]) * np.max(largest)) for column in range(width))
        return
    over = max(0.0, getattr(estimator, "noise_variance_", 0.0)) * max(1, width - count)
    spread = 4 * np.sqrt(over + estimator.explained_variance_ @ estimator.components_**2)
    yield from enumerate(estimator.mean_[:, None] + np.outer(spread, [-1.0, 1.0]))


def _middles(estimator: Any) -> Iterator[tuple[Array, Array]]:
    """Middles of data and its scale in each column."""
    for names in MIDDLES:
        middle, scale = (getattr(estimator, name, None) for name in names)
        if isinstance(middle, np.ndarray) and isinstance(scale, np.ndarray):
            yield middle, np.sqrt(np.abs(scale)) if names[1] == "var_" else scale
    if hasattr(estimator, "inertia_") and len(getattr(estimator, "labels_", ())):
        radius = np.sqrt(estimator.inertia_ / len(estimator.labels_))
        yield from ((centre, np.full(len(centre), radius)) for centre in estimator.cluster_centers_)
    means = getattr(estimator, "means_", getattr(estimator, "theta_", None))
    if isinstance(means, np.ndarray) and means.ndim == 2 and (scale := _within(estimator, means)) is not None:  # noqa: PLR2004
        yield from zip(means, np.broadcast_to(scale, means.shape), strict=True)


def _within(estimator: Any, means: Array) -> Any:
    """The scale of the columns in each class or component."""
    if hasattr(estimator, "scalings_") and isinstance(estimator.scalings_, np.ndarray):
        with np.errstate(divide="ignore"):
            return 1 / np.abs(estimator.scalings_).max(axis=1)
    found = getattr(estimator, "covariances_", getattr(estimator, "var_", None))
    if not isinstance(found, np.ndarray):
        return None
    if found.shape[-2:] == (means.shape[1],) * 2 and getattr(estimator, "covariance_type", "") != "diag":
        found = np.diagonal(found, axis1=-2, axis2=-1)
    return np.sqrt(np.abs(found[:, None] if found.ndim == 1 and len(found) == len(means) else found))


def _weighted(estimator: Any) -> Iterator[tuple[int, Array]]:
    weights, constants = getattr(estimator, "coef_", None), getattr(estimator, "intercept_", 0.0)
    if weights is None and hasattr(estimator, "coefs_"):
        weights, constants = estimator.coefs_[0].T, estimator.intercepts_[0]
    if not isinstance(weights, np.ndarray) or weights.dtype.kind != "f":
        return
    largest = np.abs(np.atleast_2d(weights)).max(axis=0)
    constant = 1.0 + float(np.max(np.abs(constants), initial=0.0))
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        size = np.where(largest > 0, constant / largest, UNWEIGHTED)
        yield from enumerate(size[:, None] * TURNED)
