"""Tree ensembles in ONNX programs: parallel lists of nodes, whose indices a runtime follows.

The operators: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleClassifier.html
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

LEAF = b"LEAF"
MODES = {b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT", b"BRANCH_EQ", b"BRANCH_NEQ", LEAF}
LABELS = ("classlabels_int64s", "classlabels_strings")
MAX_DEPTH = 1_000
#: More columns than any row has.
MAX_WIDTH = 1_000_000
Attributes = dict[str, Any]


def fault(node: NodeProto, width: int = MAX_WIDTH) -> str | None:
    """What is wrong with the trees of an ensemble, None if each node is reached once from its tree's first.

    Args:
        node: TreeEnsembleClassifier or TreeEnsembleRegressor.
        width: columns of the rows that reach it, where that is known.
    """
    return ensemble_fault(node.op_type, attributes_of(node), width)


def ensemble_fault(op_type: str, lists: Attributes, width: int = MAX_WIDTH) -> str | None:
    """`fault` for attributes that were read already."""
    kind = "class" if op_type == "TreeEnsembleClassifier" else "target"
    length = len(lists.get("nodes_treeids", ()))
    if not length or not _equally_long(lists, "nodes_", length):
        return "A list of the tree ensemble is missing or too short."
    if not set(lists.get("nodes_modes", ())) <= MODES or len(lists.get("nodes_modes", ())) != length:
        return "A node of the tree ensemble is of an unknown kind."
    if kind == "class" and (outputs_of(lists, kind) < 2 or {*LABELS} <= lists.keys()):  # noqa: PLR2004
        return "A classifier has fewer than two classes, or two lists of them."
    return (
        _nodes_fault(lists, width)
        or _leaves_fault(lists, kind, outputs_of(lists, kind))
        or _start_fault(lists, kind, outputs_of(lists, kind))
    )


def attributes_of(node: NodeProto) -> Attributes:
    """The attributes of a node as plain values and arrays."""
    found: Attributes = {}
    for attribute in node.attribute:
        if attribute.HasField("t"):
            found[attribute.name.removesuffix("_as_tensor")] = numpy_helper.to_array(attribute.t)
        elif attribute.ints or attribute.floats:
            found[attribute.name] = np.array(attribute.ints or attribute.floats)
        elif attribute.strings:
            found[attribute.name] = list(attribute.strings)
        else:
            found[attribute.name] = attribute.s or attribute.i or attribute.f
    return found


def outputs_of(lists: Attributes, kind: str) -> int:
    """How many classes or targets an ensemble has."""
    if kind == "target":
        return int(lists.get("n_targets", 1))
    return max(len(lists.get("classlabels_int64s", ())), len(lists.get("classlabels_strings", ())))


def _equally_long(lists: Attributes, prefix: str, length: int) -> bool:
    needed = ("featureids", "nodeids", "values", "truenodeids", "falsenodeids")
    return all(len(lists.get(prefix + name, ())) == length for name in needed)


def _nodes_fault(lists: Attributes, width: int) -> str | None:
    leaf = _leaves(lists)
    if not (lists["nodes_featureids"][~leaf] < width).all() or (lists["nodes_featureids"] < 0).any():
        return "A tree of the ensemble asks for a column that there is not."
    places = _Places(lists)
    if not places.distinct:
        return "Two nodes of the tree ensemble have one number."
    return _reach_fault(lists, leaf, places)


class _Places:
    """Where the nodes of all trees stand in the lists.

    Attributes:
        distinct: whether no two nodes of one tree have one number.
    """

    def __init__(self, lists: Attributes) -> None:
        trees, numbers = lists["nodes_treeids"], lists["nodes_nodeids"]
        self._trees, self._numbers = _distinct(trees), _distinct(numbers)
        keys = self._keys(trees, numbers)
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]
        self.distinct = not (self._sorted[1:] == self._sorted[:-1]).any()

    def of(self, trees: NDArray[Any], numbers: NDArray[Any]) -> NDArray[np.int64]:
        """Positions by tree and number; -1 for nodes that there are not."""
        keys = self._keys(trees, numbers)
        found = np.searchsorted(self._sorted, keys).clip(max=len(self._sorted) - 1)
        return np.where(self._sorted[found] == keys, self._order[found], -1)

    def _keys(self, trees: NDArray[Any], numbers: NDArray[Any]) -> NDArray[np.int64]:
        """One number for each pair; -1 where there is no such tree, or no such number."""
        tree, number = _place(self._trees, trees), _place(self._numbers, numbers)
        return np.where((tree < 0) | (number < 0), -1, tree * len(self._numbers) + number)


def _distinct(values: NDArray[Any]) -> NDArray[Any]:
    """The values in their order, each once; numpy's own way to it is slow where there are many."""
    ordered = np.sort(values)
    kept: NDArray[Any] = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    return kept


def _place(known: NDArray[Any], values: NDArray[Any]) -> NDArray[np.int64]:
    """Where values stand among those that are known, which are sorted; -1 for others."""
    found = np.searchsorted(known, values).clip(max=len(known) - 1)
    return np.where(known[found] == values, found, -1)


def _reach_fault(lists: Attributes, leaf: NDArray[Any], places: _Places) -> str | None:
    """Whether every node but one in each tree has exactly one parent, and is reached from that one."""
    children = _children(lists, leaf, places)
    if (children[~leaf] < 0).any():
        return "A tree of the ensemble has a child that there is not."
    roots = _roots(children, leaf)
    if roots is None or len(roots) != trees_of(lists):
        return "A tree of the ensemble has a node that is not reached exactly once."
    reached, depth = _descend(roots, children)
    if depth > MAX_DEPTH:
        return f"A tree of the ensemble is more than {MAX_DEPTH} levels deep, and is read by recursion."
    if reached != len(leaf):
        return "A tree of the ensemble has a node that is not reached exactly once."
    return None


def _children(lists: Attributes, leaf: NDArray[Any], places: _Places) -> NDArray[np.int64]:
    """The positions of the two children of each node; -1 for those of leaves, and for those that there are not."""
    names = ("nodes_truenodeids", "nodes_falsenodeids")
    both = np.column_stack([places.of(lists["nodes_treeids"], lists[name]) for name in names])
    both[leaf] = -1
    return both


def _roots(children: NDArray[np.int64], leaf: NDArray[Any]) -> NDArray[np.int64] | None:
    """The nodes that are nobody's children; None if one is a child twice."""
    parents = np.bincount(children[~leaf].ravel(), minlength=len(leaf))
    return None if (parents > 1).any() else np.flatnonzero(parents == 0)


def _descend(roots: NDArray[np.int64], children: NDArray[np.int64]) -> tuple[int, int]:
    """How many nodes are reached, and how deep; no more levels than are let pass. None is a child twice."""
    reached, depth, level = 0, 0, roots
    while len(level) and depth <= MAX_DEPTH:
        reached, depth = reached + len(level), depth + 1
        below = children[level].ravel()
        level = below[below >= 0]
    return reached, depth


def trees_of(lists: Attributes) -> int:
    """How many trees there are."""
    return len(_distinct(lists["nodes_treeids"]))


def depth_of(lists: Attributes) -> int:
    """Levels of the deepest tree of an ensemble that has no `fault`."""
    leaf = _leaves(lists)
    children = _children(lists, leaf, _Places(lists))
    roots = _roots(children, leaf)
    return 0 if roots is None else _descend(roots, children)[1]


def most_in_a_leaf(lists: Attributes, kind: str) -> int:
    """Values of the leaf that has most of them, in an ensemble that has no `fault`."""
    places = _Places(lists).of(lists[f"{kind}_treeids"], lists[f"{kind}_nodeids"])
    return int(np.bincount(places).max())


def _start_fault(lists: Attributes, kind: str, outputs: int) -> str | None:
    """The runtime reads as many base values as it has scores, whether they are there or not."""
    scores = 1 if outputs == 2 and len(_distinct(lists[f"{kind}_ids"])) == 1 else outputs  # noqa: PLR2004
    if len(lists.get("base_values", ())) not in (0, scores, outputs):
        return "The tree ensemble has another number of base values than of scores."
    return None


def _leaves(lists: Attributes) -> NDArray[np.bool_]:
    return np.array([mode == LEAF for mode in lists["nodes_modes"]])


def _leaves_fault(lists: Attributes, kind: str, outputs: int) -> str | None:
    parts = [lists.get(f"{kind}_{name}", np.zeros(0)) for name in ("treeids", "nodeids", "ids", "weights")]
    if len({len(part) for part in parts}) != 1 or not len(parts[0]):
        return "The leaves of the tree ensemble have no values."
    if (parts[2] < 0).any() or not (parts[2] < outputs).all():
        return "A leaf of the tree ensemble votes for a class that there is not."
    if (_Places(lists).of(parts[0], parts[1]) < 0).any():
        return "A value of the tree ensemble belongs to a node that there is not."
    return None
