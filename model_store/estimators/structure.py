"""How estimators are put together: what takes text, what names its columns, what is inside a meta-estimator."""

from typing import Any

import numpy as np
from sklearn import compose, ensemble, feature_extraction, model_selection, multioutput, pipeline

VECTORIZERS = (
    feature_extraction.text.CountVectorizer,  # TfidfVectorizer is one of these
    feature_extraction.text.HashingVectorizer,
)
HISTOGRAM = (ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor)
CHAINS = (multioutput.ClassifierChain, multioutput.RegressorChain)
BAGS = (ensemble.BaggingClassifier, ensemble.BaggingRegressor)
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
        steps = working_steps(estimator)
        return bool(steps) and is_text(steps[0])
    if isinstance(estimator, pipeline.FeatureUnion):
        return any(is_text(part) for _, part in estimator.transformer_list)
    return any(is_text(inner) for inner in inner_estimators(estimator))


def working_steps(estimator: Any) -> list[Any]:
    """The steps of a pipeline that do something."""
    return [step for _, step in estimator.steps if step is not None and not isinstance(step, str)]


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
    for name in ("estimators_",) if isinstance(estimator, BAGS) else INNER:
        inner = getattr(estimator, name, None)
        if inner is not None and not isinstance(inner, str):
            # Each link of a chain is given the outputs of those before it as further columns; the first is not.
            return _unwrapped(inner)[: 1 if isinstance(estimator, CHAINS) else None]
    return []


def _is_meta(estimator: Any) -> bool:
    name = type(estimator).__name__
    if isinstance(estimator, BAGS):
        every = list(range(estimator.n_features_in_))
        speaks = hasattr(estimator.estimators_[0], "n_features_in_")  # trees in a bag know nothing of columns
        return speaks and all(list(columns) == every for columns in estimator.estimators_features_)
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
