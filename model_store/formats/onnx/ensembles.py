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
    place = _places(lists["nodes_treeids"], lists["nodes_nodeids"])
    if place is None:
        return "Two nodes of the tree ensemble have one number."
    return _reach_fault(lists, leaf, place)


def _places(trees: NDArray[Any], numbers: NDArray[Any]) -> dict[tuple[int, int], int] | None:
    """Tree and number -> position in the lists."""
    keys = list(zip(trees.tolist(), numbers.tolist(), strict=True))
    found = {key: index for index, key in enumerate(keys)}
    return found if len(found) == len(keys) else None


def _reach_fault(lists: Attributes, leaf: NDArray[Any], place: dict[tuple[int, int], int]) -> str | None:
    """Whether every node but one in each tree has exactly one parent, and is reached from that one."""
    trees = lists["nodes_treeids"]
    try:
        children = _children(lists, leaf, place)
    except KeyError:
        return "A tree of the ensemble has a child that there is not."
    parents = np.bincount([child for pair in children.values() for child in pair] or [0], minlength=len(leaf))
    if not children:
        parents[0] = 0
    roots = np.flatnonzero(parents == 0)
    reached, depth = _descend(roots.tolist(), children)
    if depth > MAX_DEPTH:
        return f"A tree of the ensemble is more than {MAX_DEPTH} levels deep, and is read by recursion."
    if (parents > 1).any() or len(roots) != len(set(trees.tolist())) or reached != len(leaf):
        return "A tree of the ensemble has a node that is not reached exactly once."
    return None


def _children(
    lists: Attributes, leaf: NDArray[Any], place: dict[tuple[int, int], int]
) -> dict[int, tuple[int, int]]:
    """Position of each inner node -> those of its children. Raises KeyError for one that there is not."""
    inner = np.flatnonzero(~leaf)
    names = ("nodes_treeids", "nodes_truenodeids", "nodes_falsenodeids")
    columns = [lists[name][inner].tolist() for name in names]
    return {
        index: (place[tree, true], place[tree, false])
        for index, tree, true, false in zip(inner.tolist(), *columns, strict=True)
    }


def depth_of(lists: Attributes) -> int:
    """Levels of the deepest tree of an ensemble that has no `fault`."""
    leaf = _leaves(lists)
    place = _places(lists["nodes_treeids"], lists["nodes_nodeids"])
    children = _children(lists, leaf, place or {})
    below = {child for pair in children.values() for child in pair}
    _, depth = _descend([index for index in range(len(leaf)) if index not in below], children)
    return depth


def most_in_a_leaf(lists: Attributes, kind: str) -> int:
    """Values of the leaf that has most of them."""
    pairs = np.column_stack([lists[f"{kind}_treeids"], lists[f"{kind}_nodeids"]])
    return int(np.unique(pairs, axis=0, return_counts=True)[1].max())


def _start_fault(lists: Attributes, kind: str, outputs: int) -> str | None:
    """The runtime reads as many base values as it has scores, whether they are there or not."""
    scores = 1 if outputs == 2 and len(np.unique(lists[f"{kind}_ids"])) == 1 else outputs  # noqa: PLR2004
    if len(lists.get("base_values", ())) not in (0, scores, outputs):
        return "The tree ensemble has another number of base values than of scores."
    return None


def _leaves(lists: Attributes) -> NDArray[np.bool_]:
    return np.array([mode == LEAF for mode in lists["nodes_modes"]])


def _descend(roots: list[int], children: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many nodes are reached, and how deep; no more levels than are let pass. None is reached twice."""
    reached, depth, level = 0, 0, roots
    while level and depth <= MAX_DEPTH:
        reached, depth = reached + len(level), depth + 1
        level = [child for node in level for child in children.get(node, ())]
    return reached, depth


def _leaves_fault(lists: Attributes, kind: str, outputs: int) -> str | None:
    parts = [lists.get(f"{kind}_{name}", np.zeros(0)) for name in ("treeids", "nodeids", "ids", "weights")]
    if len({len(part) for part in parts}) != 1 or not len(parts[0]):
        return "The leaves of the tree ensemble have no values."
    if (parts[2] < 0).any() or not (parts[2] < outputs).all():
        return "A leaf of the tree ensemble votes for a class that there is not."
    known = set(zip(lists["nodes_treeids"].tolist(), lists["nodes_nodeids"].tolist(), strict=True))
    if not set(zip(parts[0].tolist(), parts[1].tolist(), strict=True)) <= known:
        return "A value of the tree ensemble belongs to a node that there is not."
    return None
