"""Histogram gradient boosting: trees of another kind, with the same trust in their own indices."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from model_store.formats.rules import Breach, Found
from model_store.formats.skops.values.trees import fault
from model_store.formats.skops.values.walk import Place

WORDS = 8  # a set of 256 categories in words of 32 bits


def histogram_nodes_stay_within_the_tree(place: Place) -> Iterator[Found]:
    """An index out of range reads memory that is not the tree's, and a loop never ends."""
    model = place.value
    rounds = getattr(model, "_predictors", None)
    if rounds is None:
        return
    if "_in_fit" in vars(model):
        raise Breach(place.where, "The model claims to be in the middle of fitting.")
    categorical = _categorical_columns(model, place.where)
    if wrong := _preprocessor_fault(getattr(model, "_preprocessor", None), model.n_features_in_):
        raise Breach(f"{place.where}._preprocessor".lstrip("."), wrong)
    for number, trees in enumerate(rounds):
        if not isinstance(trees, list) or len(trees) != model.n_trees_per_iteration_:
            raise Breach(place.where, "A round has another number of trees than the model says.")
        for tree in trees:
            if wrong := _fault_of(tree, categorical):
                yield Found(f"{place.where}._predictors[{number}]".lstrip("."), wrong)


def _categorical_columns(model: Any, where: str) -> Any:
    """Which columns are categories, as the bin mapper knows it: its map is what the trees look features up in."""
    columns = getattr(getattr(model, "_bin_mapper", None), "is_categorical_", None)
    if not isinstance(columns, np.ndarray) or columns.shape != (model.n_features_in_,):
        raise Breach(where, "The bins of the model do not fit its columns.")
    return columns.astype(bool)


def _preprocessor_fault(preprocessor: Any, width: int) -> str | None:
    """What is wrong with the part that numbers categories, whose width scikit-learn never checks."""
    if preprocessor is None:
        return None
    if type(preprocessor) is not ColumnTransformer or preprocessor.n_features_in_ != width:
        return "The part before the trees is not the one that scikit-learn puts there."
    parts = [(type(part), columns) for _, part, columns in preprocessor.transformers_ if part != "drop"]
    if [kind for kind, _ in parts] not in ([OrdinalEncoder, FunctionTransformer], [OrdinalEncoder]):
        return "The part before the trees is not the one that scikit-learn puts there."
    masks = [np.asarray(columns) for _, columns in parts]
    whole = all(mask.dtype == bool and mask.shape == (width,) for mask in masks)
    once = whole and bool((np.sum(masks, axis=0) == 1).all())
    return None if once else "The columns of the part before the trees do not add up."


def _fault_of(tree: Any, categorical: Any) -> str | None:
    if not isinstance(tree, TreePredictor):
        return "A round holds something other than a tree."
    nodes, sets = tree.nodes, tree.raw_left_cat_bitsets
    if not _is_array(nodes, PREDICTOR_RECORD_DTYPE, 1) or not len(nodes):
        return "A tree's nodes are not in scikit-learn's form."
    leaf = nodes["is_leaf"].astype(bool)
    return fault(nodes["left"], nodes["right"], leaf) or _split_fault(nodes[~leaf], sets, categorical)


def _split_fault(splits: Any, sets: Any, categorical: Any) -> str | None:
    features = splits["feature_idx"]
    if len(features) and not (features.min() >= 0 and features.max() < len(categorical)):
        return "A tree asks for a column that it does not have."
    by_category = splits["is_categorical"].astype(bool)
    if not categorical[features[by_category]].all():
        return "A tree splits a number as if it were a category."
    if not _is_array(sets, np.uint32, 2) or sets.shape[1] != WORDS:
        return "A tree's sets of categories are not in scikit-learn's form."
    if by_category.any() and splits["bitset_idx"][by_category].max() >= len(sets):
        return "A tree asks for a set of categories that it does not have."
    return None


def _is_array(value: Any, dtype: Any, dimensions: int) -> bool:
    return type(value) is np.ndarray and value.dtype == dtype and value.ndim == dimensions
