"""The input columns of a fitted estimator: names, types, categories, and where missing values are taken.

Nobody writes a schema; it is read off what scikit-learn keeps after fitting.
"""

from typing import Any

from msgspec import UNSET

from model_store.described import SelfDescribed
from model_store.estimators.readers import read_traits
from model_store.estimators.structure import feature_names, is_text, needs_frame
from model_store.estimators.traits import SAMPLE_TEXT, Trait
from model_store.naming import positional
from model_store.schema import Column, Schema


def read_inputs(estimator: Any) -> Schema:
    """A schema with inputs only.

    Raises:
        NotAPredictor: the estimator does not say how many columns it takes.
    """
    if is_text(estimator):
        return Schema(inputs=(Column(name="text", type="string", sample=SAMPLE_TEXT),), text=True)
    traits = read_traits(estimator)
    names = feature_names(estimator)
    columns = tuple(
        _column(name, trait) for name, trait in zip(names or positional(len(traits)), traits, strict=True)
    )
    return Schema(
        inputs=columns,
        names_from="position" if names is None else "estimator",
        frame=names is not None and needs_frame(estimator),
    )


def missing_texts(estimator: Any, width: int) -> list[float | None]:
    """What stands for a missing text in each column: None or NaN, which encoders tell apart."""
    if is_text(estimator) or isinstance(estimator, SelfDescribed):
        return [float("nan")] * width
    return [trait.missing for trait in read_traits(estimator)]


def _column(name: str, trait: Trait) -> Column:
    categories = trait.categories
    return Column(
        name=name,
        type=trait.type,
        nullable=trait.nullable,
        categories=UNSET if categories is None else categories,
        other_categories=True if trait.open and categories is not None else UNSET,
        required=UNSET if trait.used else False,
        sample=_sample(trait),
    )


def _sample(trait: Trait) -> Any:
    if trait.categories:
        return trait.categories[0]
    if trait.sample is not None:
        return trait.sample
    return {"string": SAMPLE_TEXT, "integer": 0, "number": 0.0, "boolean": False}.get(trait.type)
