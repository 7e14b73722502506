"""How estimators are put together: what takes text, what names its columns, what is inside a meta-estimator."""

from typing import Any

import numpy as np
from sklearn import compose, ensemble, feature_extraction, model_selection, pipeline

VECTORIZERS = (
    feature_extraction.text.CountVectorizer,  # TfidfVectorizer is one of these
    feature_extraction.text.HashingVectorizer,
)
HISTOGRAM = (ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor)
#: Attributes under which meta-estimators keep what they hand the same columns to.
INNER = (
    "best_estimator_",
    "regressor_",
    "estimator_",
    "estimators_",
    "calibrated_classifiers_",
    "estimator",
)
INNER_FAMILIES = (
    compose.TransformedTargetRegressor,
    ensemble.StackingClassifier,
    ensemble.StackingRegressor,
    ensemble.VotingClassifier,
    ensemble.VotingRegressor,
    model_selection.FixedThresholdClassifier,
    model_selection.GridSearchCV,
    model_selection.RandomizedSearchCV,
    model_selection.TunedThresholdClassifierCV,
)


def is_text(estimator: Any) -> bool:
    """Whether the estimator takes a list of texts rather than a table."""
    if isinstance(estimator, VECTORIZERS):
        return True
    if isinstance(estimator, pipeline.Pipeline):
        return is_text(estimator.steps[0][1])
    if isinstance(estimator, pipeline.FeatureUnion):
        return any(is_text(part) for _, part in estimator.transformer_list)
    return any(is_text(inner) for inner in inner_estimators(estimator))


def feature_names(estimator: Any) -> tuple[str, ...] | None:
    """The column names that the estimator was fitted with, None if it saw an array."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = next(filter(lambda x: x is not None, map(feature_names, inner_estimators(estimator))), None)
    return None if names is None else tuple(str(name) for name in names)


def needs_frame(estimator: Any) -> bool:
    """Whether some part selects its columns by name or dtype, so that it must be given a DataFrame."""
    if isinstance(estimator, compose.ColumnTransformer):
        return any(_by_name(columns) for _, _, columns in estimator.transformers_)
    if isinstance(estimator, HISTOGRAM) and estimator.is_categorical_ is not None:
        return True
    parts = [part for _, part in getattr(estimator, "steps", ())]
    parts += [part for _, part in getattr(estimator, "transformer_list", ())]
    return any(needs_frame(part) for part in [*parts, *inner_estimators(estimator)])


def inner_estimators(estimator: Any) -> list[Any]:
    """The fitted estimators that a meta-estimator hands its own columns to."""
    if not _is_meta(estimator):
        return []
    for name in INNER:
        inner = getattr(estimator, name, None)
        if inner is not None and not isinstance(inner, str):
            return _unwrapped(inner)
    return []


def _is_meta(estimator: Any) -> bool:
    name = type(estimator).__name__
    return isinstance(estimator, INNER_FAMILIES) or name in {
        "CalibratedClassifierCV", "ClassifierChain", "FrozenEstimator", "HalvingGridSearchCV",
        "HalvingRandomSearchCV", "MultiOutputClassifier", "MultiOutputRegressor", "OneVsRestClassifier",
        "RegressorChain", "SelfTrainingClassifier",
    }  # fmt: skip


def _unwrapped(inner: Any) -> list[Any]:
    many = inner if isinstance(inner, list | tuple | np.ndarray) else [inner]
    return [getattr(part, "estimator", part) if type(part).__name__[0] == "_" else part for part in many]


def _by_name(columns: Any) -> bool:
    if isinstance(columns, str):
        return True
    if isinstance(columns, slice):
        return isinstance(columns.start or columns.stop, str)
    return any(isinstance(column, str) for column in np.atleast_1d(np.asarray(columns, dtype=object)))
