"""Decision trees and ensembles of them as ONNX programs that go the very same way through every tree.

scikit-learn rounds rows to single precision and compares them with thresholds of double precision, so the program
does both as well; histogram boosting does not round. Leaves are added in double precision, and the label is
chosen from those sums. The operators:
https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleClassifier.html
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from model_store.acceleration.operators import (
    ML,
    chosen,
    constant,
    double,
    give,
    give_label,
    likely,
    of_two,
    op,
    unique,
)
from model_store.acceleration.report import Unconvertible

#: A program grows to many times its size in memory, so larger forests stay with their host.
MOST_NODES = 120_000
#: Bits of a whole number in single precision, and of a number that is taken apart.
EXACT_BITS, DIGITS = 24, 60
Array = NDArray[Any]


class Tree(NamedTuple):
    """One tree: parallel arrays over its nodes; children of leaves are below 0.

    `weights` has one row for each leaf, in the order of the nodes, and one column for each of `targets`.
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    missing_left: Array
    weights: Array
    targets: Sequence[int]

    @property
    def leaf(self) -> Array:
        """Which nodes are leaves."""
        return np.asarray(self.left < 0)


def converters() -> dict[type, Callable[[Any, Any, Any], None]]:
    """Estimator's type -> what skl2onnx calls to convert it."""
    return {
        **dict.fromkeys((DecisionTreeClassifier, ExtraTreeClassifier), _voting(lambda tree: [tree])),
        **dict.fromkeys(
            (RandomForestClassifier, ExtraTreesClassifier), _voting(lambda forest: forest.estimators_)
        ),
        **dict.fromkeys((DecisionTreeRegressor, ExtraTreeRegressor), _averaging(lambda tree: [tree])),
        **dict.fromkeys(
            (RandomForestRegressor, ExtraTreesRegressor), _averaging(lambda forest: forest.estimators_)
        ),
        GradientBoostingClassifier: _convert_boosting,
        GradientBoostingRegressor: _convert_boosting,
        HistGradientBoostingClassifier: _convert_histogram_boosting,
        HistGradientBoostingRegressor: _convert_histogram_boosting,
    }


def _voting(members: Callable[[Any], Sequence[Any]]) -> Callable[[Any, Any, Any], None]:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        estimator = operator.raw_operator
        if estimator.n_outputs_ > 1:
            raise Unconvertible("it has several outputs")
        trees = [_tree_of(member) for member in members(estimator)]
        rows = _rounded(scope, operator, container)
        _add_votes(scope, operator, container, rows, trees)

    return convert


def _averaging(members: Callable[[Any], Sequence[Any]]) -> Callable[[Any, Any, Any], None]:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        estimator = operator.raw_operator
        trees = [_tree_of(member) for member in members(estimator)]
        rows = _rounded(scope, operator, container)
        found = _add_sums(scope, container, rows, trees, estimator.n_outputs_)
        give(operator, container, _mean(scope, container, found, len(trees)), 0)

    return convert


def _tree_of(member: Any) -> Tree:
    """A tree of scikit-learn."""
    tree = member.tree_
    values = tree.value[:, 0, :] if hasattr(member, "classes_") else tree.value[:, :, 0]
    return _plain_tree(tree, values, range(values.shape[1]))


def _mean(scope: Any, container: Any, sums: str, count: int) -> str:
    """The mean over so many trees. Votes are counted before, since a part of a vote is not exact."""
    if count == 1:
        return sums
    return op(scope, container, "Div", [sums, constant(scope, container, np.array([float(count)]))])


def _plain_tree(tree: Any, values: Array, targets: Sequence[int]) -> Tree:
    nodes = tree.__getstate__()["nodes"]
    leaf = tree.children_left < 0
    missing = (
        nodes["missing_go_to_left"] if "missing_go_to_left" in (nodes.dtype.names or ()) else np.zeros(len(leaf))
    )
    return Tree(
        tree.feature, tree.threshold, tree.children_left, tree.children_right, missing, values[leaf], targets
    )


def _convert_boosting(scope: Any, operator: Any, container: Any) -> None:
    estimator = operator.raw_operator
    rounds = estimator.estimators_
    trees = [
        _plain_tree(member.tree_, estimator.learning_rate * member.tree_.value[:, 0, :], [target])
        for row in rounds
        for target, member in enumerate(row)
    ]
    start = _start_of(estimator, rounds.shape[1])
    rows = _rounded(scope, operator, container)
    _add_boosting(scope, operator, container, rows, trees, start, "")


def _start_of(estimator: Any, targets: int) -> Array:
    """The constant that boosting begins with."""
    if not (isinstance(estimator.init_, DummyClassifier | DummyRegressor) or estimator.init_ == "zero"):
        raise Unconvertible("it begins with another estimator's answers")
    if getattr(estimator, "loss", None) == "exponential":
        raise Unconvertible("its loss is exponential")
    rows = np.zeros((1, estimator.n_features_in_), dtype=np.float32)
    return np.asarray(estimator._raw_predict_init(rows), dtype=np.float64).reshape(targets)


def _convert_histogram_boosting(scope: Any, operator: Any, container: Any) -> None:
    estimator = operator.raw_operator
    if estimator.is_categorical_ is not None and np.any(estimator.is_categorical_):
        raise Unconvertible("it splits categories as such")
    trees = [
        _histogram_tree(predictor.nodes, target)
        for row in estimator._predictors
        for target, predictor in enumerate(row)
    ]
    start = np.asarray(estimator._baseline_prediction, dtype=np.float64).ravel()
    link = type(estimator._loss.link).__name__
    rows = double(scope, container, operator.inputs[0].full_name)
    _add_boosting(scope, operator, container, rows, trees, start, "" if hasattr(estimator, "classes_") else link)


def _histogram_tree(nodes: Array, target: int) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    left, right = (np.where(leaf, -1, nodes[way].astype(np.int64)) for way in ("left", "right"))
    return Tree(
        np.where(leaf, 0, nodes["feature_idx"].astype(np.int64)), nodes["num_threshold"], left, right,
        nodes["missing_go_to_left"], nodes["value"][leaf][:, None], [target],
    )  # fmt: skip


def _add_boosting(
    scope: Any, operator: Any, container: Any, rows: str, trees: Sequence[Tree], start: Array, link: str
) -> None:
    """Sums of trees, and what the estimator makes of them."""
    sums = op(scope, container, "Add", [_add_sums(scope, container, rows, trees, len(start)),
                                         constant(scope, container, start)])  # fmt: skip
    if not hasattr(operator.raw_operator, "classes_"):
        give(operator, container, _unlinked(scope, container, sums, link), 0)
    elif len(start) > 1:
        give(operator, container, op(scope, container, "Softmax", [sums], axis=1), 1)
        give_label(scope, operator, container, sums, operator.raw_operator.classes_)
    else:
        _add_binary(scope, operator, container, sums)


def _unlinked(scope: Any, container: Any, found: str, link: str) -> str:
    if link in ("", "IdentityLink"):
        return found
    if link != "LogLink":
        raise Unconvertible("its loss has a link that is not known here")
    return op(scope, container, "Exp", [found])


def _add_binary(scope: Any, operator: Any, container: Any, score: str) -> None:
    """Label and probabilities of two classes by one score, which is above 0 for the second."""
    both = op(scope, container, "Concat", [op(scope, container, "Neg", [score]), score], axis=1)
    give(operator, container, of_two(scope, container, likely(scope, container, score)), 1)
    give_label(scope, operator, container, both, operator.raw_operator.classes_)


def _add_votes(scope: Any, operator: Any, container: Any, rows: str, trees: Sequence[Tree]) -> None:
    """Label and probabilities by the mean of what the trees say."""
    labels = operator.raw_operator.classes_
    if any((tree.weights % 1).any() for tree in trees):  # the operator's scores have only single precision
        sums = _add_sums(scope, container, rows, trees, len(labels))
        scores = _mean(scope, container, sums, len(trees))
        give_label(scope, operator, container, scores, labels)
    else:
        scores = _mean(scope, container, _add_classifier(scope, operator, container, rows, trees), len(trees))
    give(operator, container, scores, 1)


def _add_classifier(scope: Any, operator: Any, container: Any, rows: str, trees: Sequence[Tree]) -> str:
    """The label of the class with the most votes, of several the first; the name of the votes."""
    labels = operator.raw_operator.classes_
    if len(labels) == 1:
        raise Unconvertible("it knows one class only")
    # Of two classes the operator would choose by one score above 0.5; of three, one of them without votes, by
    # the largest sum.
    listed = labels if len(labels) > 2 else [*labels, labels[0]]  # noqa: PLR2004
    names: dict[str, Any] = (
        {"classlabels_strings": [str(label) for label in listed]}
        if labels.dtype.kind in "UO"
        else {"classlabels_int64s": [int(label) for label in listed]}
    )
    scores = scope.get_unique_variable_name("scores")
    container.add_node(
        "TreeEnsembleClassifier", [rows], [operator.outputs[0].full_name, scores], op_domain=ML, op_version=3,
        name=unique(scope), **names, **_lists(trees, "class"),
    )  # fmt: skip
    scores = double(scope, container, scores)
    return scores if len(listed) == len(labels) else chosen(scope, container, scores, [0, 1])


def _add_sums(scope: Any, container: Any, rows: str, trees: Sequence[Tree], targets: int) -> str:
    """The name of the trees' sums, rows x targets, in double precision.

    The operator gives them in single precision. So each leaf's number is taken apart into whole numbers of smaller
    and smaller units, so few digits of each that their sums over all trees are exact in single precision.
    """
    units, parted = _parted(trees)
    sums = scope.get_unique_variable_name("sums")
    container.add_node(
        "TreeEnsembleRegressor", [rows], [sums], op_domain=ML, op_version=3, name=unique(scope),
        n_targets=targets * len(units), **_lists(parted, "target"),
    )  # fmt: skip
    if units == [1.0]:
        return double(scope, container, sums)
    together = np.kron(np.eye(targets), np.array(units)[:, None])
    return op(scope, container, "MatMul", [double(scope, container, sums), constant(scope, container, together)])


def _parted(trees: Sequence[Tree]) -> tuple[list[float], list[Tree]]:
    """Units, the largest first, and trees whose leaves say how many there are of each."""
    bits = EXACT_BITS - math.ceil(math.log2(len(trees)))
    largest = max(float(np.max(np.abs(tree.weights), initial=0.0)) for tree in trees)
    unit = 2.0 ** (math.frexp(largest)[1] - bits)
    if any((tree.weights % 1).any() for tree in trees):
        units = [unit * 2.0 ** (-bits * part) for part in range(math.ceil(DIGITS / bits))]
    else:
        units = [1.0] if unit <= 1.0 else [unit, 1.0]
    return units, [_in_units(tree, units) for tree in trees]


def _in_units(tree: Tree, units: Sequence[float]) -> Tree:
    left, parts = tree.weights.astype(np.float64), []
    for unit in units:
        parts.append(np.trunc(left / unit))
        left = left - parts[-1] * unit
    weights = np.stack(parts, axis=-1).reshape(len(left), -1)
    targets = [target * len(units) + part for target in tree.targets for part in range(len(units))]
    return tree._replace(weights=weights, targets=targets)


def _lists(trees: Sequence[Tree], kind: str) -> dict[str, Any]:
    """The operator's parallel lists. Raises Unconvertible if they are too long."""
    if sum(len(tree.left) for tree in trees) > MOST_NODES:
        raise Unconvertible(f"its trees have more than {MOST_NODES} nodes, which would take much of the server")
    nodes = [list(_nodes(number, tree)) for number, tree in enumerate(trees)]
    joined: dict[str, Any] = {name: np.concatenate([dict(part)[name] for part in nodes]) for name, _ in nodes[0]}
    lists: dict[str, Any] = {f"nodes_{name}": array.astype(np.int64).tolist() for name, array in joined.items()}
    lists["nodes_modes"] = ["LEAF" if leaf else "BRANCH_LEQ" for tree in trees for leaf in tree.leaf.tolist()]
    lists["nodes_values_as_tensor"] = _tensor(np.concatenate([np.where(t.leaf, 0.0, t.threshold) for t in trees]))
    leaves = [list(_leaves(number, tree)) for number, tree in enumerate(trees)]
    for name, _ in leaves[0]:
        lists[f"{kind}_{name}"] = np.concatenate([dict(part)[name] for part in leaves]).astype(np.int64).tolist()
    lists[f"{kind}_weights_as_tensor"] = _tensor(np.concatenate([tree.weights.ravel() for tree in trees]))
    return lists


def _nodes(number: int, tree: Tree) -> Iterator[tuple[str, Array]]:
    leaf = tree.leaf
    yield "treeids", np.full(len(leaf), number)
    yield "nodeids", np.arange(len(leaf))
    yield "featureids", np.where(leaf, 0, tree.feature)
    yield "truenodeids", np.where(leaf, 0, tree.left)
    yield "falsenodeids", np.where(leaf, 0, tree.right)
    yield "missing_value_tracks_true", np.where(leaf, 0, tree.missing_left)


def _leaves(number: int, tree: Tree) -> Iterator[tuple[str, Array]]:
    leaves, width = np.flatnonzero(tree.leaf), len(tree.targets)
    yield "treeids", np.full(len(leaves) * width, number)
    yield "nodeids", np.repeat(leaves, width)
    yield "ids", np.tile(np.asarray(tree.targets), len(leaves))


def _tensor(values: Array) -> Any:
    return numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float64))


def _rounded(scope: Any, operator: Any, container: Any) -> str:
    """The rows in the single precision in which scikit-learn's trees see them."""
    single = op(scope, container, "Cast", [operator.inputs[0].full_name], to=TensorProto.FLOAT)
    return double(scope, container, single)
