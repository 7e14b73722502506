"""Decision trees, alone and in forests: their compiled code follows child and feature indices without looking."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.tree._tree import Tree

from model_store.formats.rules import Breach, Found
from model_store.formats.skops.values.walk import Place, walk

LEAF = -1
#: A function can give another number of rows than it was given.
CHANGES_ROWS = (FunctionTransformer,)
TREES = (DecisionTreeClassifier, DecisionTreeRegressor)


def tree_nodes_stay_within_the_tree(place: Place) -> Iterator[Found]:
    """A child or feature index out of range reads memory that is not the tree's, and a loop never ends."""
    tree = place.value
    if not 1 <= tree.node_count == tree.capacity:
        raise Breach(place.where, "A tree does not have as many nodes as it claims.")
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    if (wrong := fault(left, right, left == LEAF)) or _feature_fault(feature[left != LEAF], tree.n_features):
        yield Found(place.where, wrong or "A tree asks for a column that it does not have.")
    elif tree.max_depth < _depth(left, right):
        yield Found(place.where, "A tree is deeper than it claims.")


def trees_are_as_wide_as_their_owner(place: Place) -> Iterator[Found]:
    """A tree reads columns by its own width, and rows are checked against its owner's."""
    estimator = place.value
    tree = getattr(estimator, "tree_", None)
    if tree is not None and not _is_tree_of(tree, estimator):
        yield Found(place.where, "The tree and its owner differ in columns, outputs or classes.")


def forests_hold_trees_of_their_own_width(place: Place) -> Iterator[Found]:
    """A forest checks rows once and hands them to its trees unchecked."""
    forest = place.value
    for tree in _parts(forest, "estimators_"):
        if not _is_wide(tree, forest.n_features_in_):
            yield Found(place.where, "A tree in the forest has another width than the forest.")


def isolated_trees_fit_their_columns(place: Place) -> Iterator[Found]:
    """An isolation forest hands each tree its own columns unchecked."""
    forest = place.value
    trees, columns = _parts(forest, "estimators_"), _parts(forest, "estimators_features_")
    if not trees:
        return
    if len(trees) != len(columns):
        raise Breach(place.where, "The forest has not one set of columns for each tree.")
    whole = getattr(forest, "_max_features", None) == forest.n_features_in_
    for tree, chosen in zip(trees, columns, strict=True):
        if not _is_wide(tree, forest.n_features_in_ if whole else len(chosen)):
            yield Found(place.where, "A tree in the forest has another width than its columns.")


def boosted_trees_are_one_column_each(place: Place) -> Iterator[Found]:
    """Boosting adds up the trees' values in place, in as many columns as it has trees in a round."""
    boosting = place.value
    trees = getattr(boosting, "estimators_", None)
    if trees is None:
        return
    if not (isinstance(trees, np.ndarray) and trees.ndim == 2 and trees.size):  # noqa: PLR2004
        raise Breach(place.where, "The trees are not in a table of rounds and classes.")
    for tree in trees.flat:
        if not _is_wide(tree, boosting.n_features_in_) or tree.tree_.value.shape[1:] != (1, 1):
            raise Breach(place.where, "A tree has another width than the whole, or more than one output.")
    if any(type(part.value) in CHANGES_ROWS for part in walk(getattr(boosting, "init_", None))):
        raise Breach(place.where, "The first guess of the boosting is made by functions.")
    if not all(_begins_with(boosting, rows, trees.shape[1]) for rows in (1, 2, 3)):
        yield Found(place.where, "The first guess has not one column for each tree of a round.")


def fault(left: Any, right: Any, leaf: Any) -> str | None:
    """What is wrong with the children of a binary tree's nodes, None if each is reached once from the first.

    Builders number children after their parents, so there can be no loop where a child's number is the higher one.
    """
    own = np.arange(len(leaf))[~leaf]
    children = np.concatenate([left[~leaf], right[~leaf]]).astype(np.int64)
    if len(children) and not (children.min() > 0 and children.max() < len(leaf)):
        return "A tree has a child out of range."
    if not (children > np.concatenate([own, own])).all():
        return "A tree has a child that leads back to its parents."
    reached = np.bincount(children, minlength=len(leaf))
    once = reached[0] == 0 and (reached[1:] == 1).all()
    return None if once else "A tree has a node that is not reached exactly once."


def _feature_fault(features: Any, width: int) -> bool:
    return bool(len(features)) and not (features.min() >= 0 and features.max() < width)


def _depth(left: Any, right: Any) -> int:
    level, depth = np.array([0]), 0
    while len(level := level[left[level] != LEAF]):
        level, depth = np.concatenate([left[level], right[level]]), depth + 1
    return depth


def _is_tree_of(tree: Any, estimator: Any) -> bool:
    if not isinstance(tree, Tree) or tree.n_features != estimator.n_features_in_:
        return False
    if tree.n_outputs != estimator.n_outputs_:
        return False
    counts = np.atleast_1d(estimator.n_classes_) if is_classifier(estimator) else np.ones(tree.n_outputs)
    return np.array_equal(counts, tree.n_classes)


def _is_wide(tree: Any, width: Any) -> bool:
    return isinstance(tree, TREES) and isinstance(tree.tree_, Tree) and tree.tree_.n_features == width


def _parts(estimator: Any, name: str) -> list[Any]:
    parts = getattr(estimator, name, ())
    return list(parts) if isinstance(parts, list | tuple | np.ndarray) else []


def _begins_with(boosting: Any, rows: int, columns: int) -> bool:
    """Whether the first guess has an entry for each row, and this many columns."""
    try:
        guess = boosting._raw_predict_init(np.zeros((rows, boosting.n_features_in_), dtype=np.float32))
    except Exception as error:
        raise Breach("", "The first guess of the boosting cannot be made.") from error
    return isinstance(guess, np.ndarray) and guess.shape == (rows, columns) and guess.dtype == np.float64
