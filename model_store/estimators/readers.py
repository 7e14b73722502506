"""What each family of fitted estimators says about its columns: one `Trait` for each of them.

To teach it another family: write a reader, add it to `READERS`, and a row to `tests/model_store/test_schema.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from sklearn import compose, impute, isotonic, pipeline, preprocessing
from sklearn.utils import get_tags

from model_store.errors import NotAPredictor
from model_store.estimators.outputs import is_missing, scalars, type_of
from model_store.estimators.structure import HISTOGRAM, inner_estimators, is_text, working_steps
from model_store.estimators.traits import NUMBER, SAMPLE_TEXT, Trait, beside, followed_by
from model_store.schema import ColumnType

#: Transformers that give column i for column i, so that the next step says something about it as well.
COLUMNWISE = (
    preprocessing.MaxAbsScaler,
    preprocessing.MinMaxScaler,
    preprocessing.PowerTransformer,
    preprocessing.QuantileTransformer,
    preprocessing.RobustScaler,
    preprocessing.StandardScaler,
)


#: What some transformers take instead of rows.
NOT_ROWS = {
    "DictVectorizer": "dictionaries",
    "FeatureHasher": "dictionaries",
    "LabelBinarizer": "labels",
    "LabelEncoder": "labels",
    "MultiLabelBinarizer": "lists of labels",
    "PatchExtractor": "images",
}


def read_traits(estimator: Any) -> list[Trait]:
    """One trait for each column, in the order in which the estimator was fitted."""
    for family, read in READERS:
        if isinstance(estimator, family):
            return read(estimator)
    if type(estimator).__name__ == "IterativeImputer":  # importing it switches an experiment on
        return _iterative_imputer(estimator)
    return _meta(estimator) if inner_estimators(estimator) else _plain(estimator)


def _width(estimator: Any) -> int:
    width = getattr(estimator, "n_features_in_", None)
    if width is None:
        names = getattr(estimator, "feature_names_in_", None)
        width = None if names is None else len(names)
    if width is None and type(estimator).__name__ in NOT_ROWS:
        kind = NOT_ROWS[type(estimator).__name__]
        raise NotAPredictor(f"{type(estimator).__name__} takes {kind}, and requests are rows of a table.")
    if width is None:
        raise NotAPredictor(
            f"{type(estimator).__name__} does not say how many columns it takes. "
            "Fit it on an array or a DataFrame with a fixed number of columns."
        )
    return int(width)


def _plain(estimator: Any) -> list[Trait]:
    """Any other estimator of scikit-learn: numbers, and its tags say whether they may be missing."""
    tags = get_tags(estimator).input_tags
    nullable = bool(tags.allow_nan)
    through = isinstance(estimator, COLUMNWISE)
    samples: Sequence[float | None] = _samples(estimator) or [None] * _width(estimator)
    return [Trait(type="number", nullable=nullable, through=through, sample=sample) for sample in samples]


def _samples(estimator: Any) -> list[float] | None:
    """The middle of what the estimator was fitted on, where it keeps that."""
    for name in ("mean_", "center_", "data_min_", "theta_", "cluster_centers_"):
        values = getattr(estimator, name, None)
        if isinstance(values, np.ndarray) and values.shape[-1] == getattr(estimator, "n_features_in_", None):
            middle = values.mean(axis=0) if values.ndim > 1 else values
            return [_rounded(value) for value in middle.tolist()]
    return None


def _rounded(value: float) -> float:
    return float(f"{value:.3g}") if np.isfinite(value) else 0.0


def _pipeline(estimator: Any) -> list[Trait]:
    steps = working_steps(estimator)
    traits = read_traits(steps[0])
    in_order = _in_order(steps[0], traits)
    for step in steps[1:]:
        if not any(trait.through for trait in traits):
            break
        following = _following(step, len(traits), in_order)
        traits = [followed_by(trait, after) for trait, after in zip(traits, following, strict=True)]
    return traits


def _following(step: Any, width: int, in_order: bool) -> list[Trait]:
    """What a later step says about columns that reach it: of each if they are the same, else its general rule."""
    try:
        traits = read_traits(step)
    except NotAPredictor:
        return [Trait(through=True, nullable=True)] * width
    if in_order and len(traits) == width:
        return traits
    general = Trait(
        type="number",
        nullable=all(trait.nullable for trait in traits),
        fills=all(trait.fills for trait in traits),
        through=any(trait.through for trait in traits),
    )
    return [general] * width


def _in_order(step: Any, traits: Sequence[Trait]) -> bool:
    """Whether the columns that go through a step stand where they stood; behind a ColumnTransformer few do."""
    if not isinstance(step, compose.ColumnTransformer):
        return True
    names, given = list(getattr(step, "feature_names_in_", ())), getattr(step, "output_indices_", {})
    places: dict[int, int] = {}
    for name, _, columns in step.transformers_:
        indices, place = indices_of(columns, names, len(traits)), given.get(name, slice(0, 0))
        places |= dict(zip(indices, range(place.start, place.stop), strict=False))
    return all(places.get(index) == index for index, trait in enumerate(traits) if trait.through)


def _column_transformer(estimator: Any) -> list[Trait]:
    dropped = Trait(nullable=True, used=False)
    traits = [dropped] * _width(estimator)
    names = list(getattr(estimator, "feature_names_in_", ()))
    for _, part, columns in estimator.transformers_:
        indices = indices_of(columns, names, len(traits))
        for index, trait in zip(indices, _part_traits(part, len(indices)), strict=True):
            traits[index] = beside(traits[index], trait)
    return traits


def _part_traits(part: Any, width: int) -> list[Trait]:
    if isinstance(part, str) and part == "drop":
        return [Trait(nullable=True, used=False)] * width
    idle = isinstance(part, pipeline.Pipeline) and not working_steps(part)
    if isinstance(part, str) or idle or width == 0:
        return [Trait(nullable=True, through=True)] * width
    if is_text(part):
        return [Trait(type="string", sample=SAMPLE_TEXT)] * width
    # What follows a ColumnTransformer sees all parts side by side, and of each column whether it is missing.
    passes = isinstance(part, preprocessing.FunctionTransformer)
    return [replace(one, through=passes or (one.through and not one.fills)) for one in read_traits(part)]


def indices_of(columns: Any, names: list[str], width: int) -> list[int]:
    """The numbers of the columns that are chosen by names, numbers, a slice or a mask."""
    if isinstance(columns, slice):
        if isinstance(columns.start or columns.stop, str):
            first = 0 if columns.start is None else names.index(columns.start)
            last = width - 1 if columns.stop is None else names.index(columns.stop)
            return list(range(first, last + 1))
        return list(range(width))[columns]
    values = np.atleast_1d(np.asarray(columns, dtype=object)).tolist()
    if values and all(isinstance(value, bool | np.bool_) for value in values):
        return [index for index, chosen in enumerate(values) if chosen]
    return [names.index(value) if isinstance(value, str) else int(value) % width for value in values]


def _union(estimator: Any) -> list[Trait]:
    parts = [part for _, part in estimator.transformer_list if hasattr(part, "transform")]
    return _all_content([read_traits(part) for part in parts])


def _all_content(several: Iterable[list[Trait]]) -> list[Trait]:
    return [reduce(beside, column) for column in zip(*several, strict=True)]


def _encoder(estimator: Any) -> list[Trait]:
    is_open = getattr(estimator, "handle_unknown", "error") != "error"
    return [_category_trait(values, is_open) for values in estimator.categories_]


def _target_encoder(estimator: Any) -> list[Trait]:
    return [_category_trait(values, is_open=True) for values in estimator.categories_]


def _category_trait(values: Any, is_open: bool) -> Trait:
    array = np.asarray(values)
    seen = scalars(array) if array.dtype.kind == "M" else array.tolist()
    missing = [value for value in seen if is_missing(value)]
    # In an array of texts alone, what was missing has become a text; among objects such a text is one.
    stand_ins = ("nan", "None") if array.dtype.kind == "U" else ()
    present = [value for value in scalars(values) if not is_missing(value) and value not in stand_ins]
    return Trait(
        type=type_of(values),
        nullable=bool(missing) or is_open,
        categories=tuple(present),
        open=is_open,
        missing=None if None in missing else float("nan"),
    )


def _imputer(estimator: Any) -> list[Trait]:
    statistics = getattr(estimator, "statistics_", None)
    if statistics is None:  # KNNImputer keeps rows rather than one statistic
        statistics = np.zeros(_width(estimator))
    fills = is_missing(estimator.missing_values)
    kind: ColumnType = "number" if statistics.dtype.kind == "f" else "any"
    return [
        Trait(
            type=kind,
            nullable=fills,
            fills=fills,
            through=True,
            missing=estimator.missing_values if fills else float("nan"),
            sample=None if kind == "any" else _rounded(value),
        )
        for value in statistics
    ]


def _indicator(estimator: Any) -> list[Trait]:
    """Says for each value whether it is missing, so nothing that follows ever sees a missing one."""
    return [Trait(nullable=True, fills=True)] * _width(estimator)


def _iterative_imputer(estimator: Any) -> list[Trait]:
    return [replace(trait, fills=True) for trait in _imputer(estimator.initial_imputer_)]


def _function(estimator: Any) -> list[Trait]:
    known = isinstance(estimator.func, np.ufunc) or estimator.validate
    return [replace(NUMBER if known else Trait(through=True), nullable=True)] * _width(estimator)


def _isotonic(_estimator: Any) -> list[Trait]:
    """One number, whether it was fitted on a column or on a plain list."""
    return [Trait(type="number")]


def _histogram_boosting(estimator: Any) -> list[Trait]:
    if estimator.is_categorical_ is None:
        return [replace(trait, nullable=True) for trait in _plain(estimator)]
    traits = _column_transformer(estimator._preprocessor)
    # Inside, a value that was never seen is handled as a missing one.
    return [
        Trait(type="number", nullable=True)
        if trait.categories is None
        else replace(trait, nullable=True, open=True, through=False)
        for trait in traits
    ]


def _meta(estimator: Any) -> list[Trait]:
    # A link of a chain that is not the natural first one was given further columns behind the estimator's own.
    width = getattr(estimator, "n_features_in_", None)
    return _all_content(read_traits(inner)[:width] for inner in inner_estimators(estimator))


#: Families and how to read them; the first that fits is asked.
READERS: tuple[tuple[Any, Callable[[Any], list[Trait]]], ...] = (
    (pipeline.Pipeline, _pipeline),
    (pipeline.FeatureUnion, _union),
    (compose.ColumnTransformer, _column_transformer),
    ((preprocessing.OneHotEncoder, preprocessing.OrdinalEncoder), _encoder),
    (preprocessing.TargetEncoder, _target_encoder),
    ((impute.SimpleImputer, impute.KNNImputer), _imputer),
    (impute.MissingIndicator, _indicator),
    (preprocessing.FunctionTransformer, _function),
    (isotonic.IsotonicRegression, _isotonic),
    (HISTOGRAM, _histogram_boosting),
)
