"""The estimators inside an estimator, and where their features come from: a column, and how to get back to it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from model_store.estimators.readers import indices_of

#: Scalers that take each column for itself, and can be undone.
SCALERS = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)
Array = NDArray[np.float64]


class Origin(NamedTuple):
    """The column that a feature is, and what makes the column's values of the feature's."""

    column: int
    back: Callable[[Array], Array]


#: One for each feature; None where it is more than one column with other numbers.
Features = Sequence[Origin | None]


def columns(count: int) -> list[Origin | None]:
    """The features of the outermost estimator."""
    return [Origin(index, lambda values: values) for index in range(count)]


def inside(estimator: Any, features: Features) -> Iterator[tuple[Any, Features]]:
    """An estimator and those that it is made of, each with its features; there can be fewer than it has."""
    yield estimator, features
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            yield from inside(step, features)
            features = _behind(step, features)
    elif isinstance(estimator, ColumnTransformer):
        for _, part, chosen in _parts(estimator, features):
            yield from inside(part, chosen)
    else:
        for member in _members(estimator):
            yield from inside(member, features)


def _members(estimator: Any) -> Iterator[Any]:
    for name in ("estimators_", "calibrated_classifiers_"):
        yield from _flat(getattr(estimator, name, ()))
    for name in ("estimator", "estimator_", "best_estimator_", "final_estimator_"):
        if hasattr(member := getattr(estimator, name, None), "get_params") and _is_fitted(member):
            yield member


def _is_fitted(estimator: Any) -> bool:
    """Whether it is more than what copies were made of."""
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def _flat(members: Any) -> Iterator[Any]:
    for member in members if isinstance(members, list | tuple | np.ndarray) else ():
        yield from _flat(member) if isinstance(member, list | tuple | np.ndarray) else [member]


def _parts(transformer: ColumnTransformer, features: Features) -> Iterator[tuple[str, Any, Features]]:
    names = list(getattr(transformer, "feature_names_in_", ()))
    for name, part, chosen in transformer.transformers_:
        indices = indices_of(chosen, names, transformer.n_features_in_)
        yield name, part, [features[index] if index < len(features) else None for index in indices]


def _behind(step: Any, features: Features) -> Features:
    """The features that a step gives."""
    if isinstance(step, Pipeline):
        for _, inner in step.steps:
            features = _behind(inner, features)
        return features
    if isinstance(step, ColumnTransformer):
        return _side_by_side(step, features)
    if isinstance(step, SCALERS):
        return [origin and Origin(origin.column, _undone(step, i, origin)) for i, origin in enumerate(features)]
    if isinstance(step, SimpleImputer) and step.statistics_.dtype.kind == "f":
        return [origin for origin, fill in zip(features, step.statistics_, strict=False) if not np.isnan(fill)]
    if hasattr(step, "get_support"):
        return [origin for origin, kept in zip(features, step.get_support(), strict=False) if kept]
    return features if _passes_on(step) else []


def _passes_on(step: Any) -> bool:
    if isinstance(step, FunctionTransformer):
        return step.func is None
    return step is None or isinstance(step, str) or not hasattr(step, "transform")


def _side_by_side(transformer: ColumnTransformer, features: Features) -> Features:
    places = getattr(transformer, "output_indices_", {})  # it has none if it drops everything
    given: list[Origin | None] = [None] * max((part.stop for part in places.values()), default=0)
    for name, part, chosen in _parts(transformer, features):
        place = places.get(name, slice(0, 0))
        found = _behind(part, chosen)
        if not transformer.transformer_weights and len(found) == place.stop - place.start:
            given[place] = found
    return given


def _undone(scaler: Any, index: int, origin: Origin) -> Callable[[Array], Array]:
    def back(values: Array) -> Array:
        table = np.zeros((len(values), scaler.n_features_in_))
        table[:, index] = values
        return origin.back(scaler.inverse_transform(table)[:, index])

    return back
