"""A walk over the nodes of a skops schema, without recursion and without constructing anything."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from model_store.formats.rules import Breach

MAX_NODES = 5_000_000
#: skops itself reads the schema recursively; legitimate files nest a few dozen levels deep.
MAX_DEPTH = 200

State = dict[str, Any]
#: The parts of a node: what each is called in its owner, and its own state.
Children = Iterable[tuple[str, State]]


class TooDeep(Breach):
    """More levels or more nodes than any model has."""

    def __init__(self) -> None:
        super().__init__("schema.json", "The schema is nested too deeply or has too many nodes.")


class Node(NamedTuple):
    """One node of the schema, as the rules see it.

    Attributes:
        children: the states of the nodes below, for the few loaders that have rules about them.
        label: what it is called in its parent: `.coef_`, `[3]`.
    """

    loader: str
    type: str
    id: int
    file: str | None
    value: str | None
    parent: int
    label: str
    children: tuple[State, ...] = ()


def _none(_state: State) -> Children:
    return ()


def _content(state: State) -> Children:
    return (("", state["content"]),)


def _optional_content(state: State) -> Children:
    return () if state.get("content") is None else (("", state["content"]),)


def _items(state: State) -> Children:
    return ((f"[{index}]", item) for index, item in enumerate(_list(state["content"])))


def _values(state: State) -> Children:
    yield "", state["key_types"]
    for key, value in _dict(state["content"]).items():
        yield f".{key}", value


def _parts(*names: str) -> Callable[[State], Children]:
    return lambda state: [(f".{name}", state["content"][name]) for name in names]


def _reduced(state: State) -> Children:
    return (("", state["content"]), ("", state["__reduce__"]["args"]))


def _array(state: State) -> Children:
    if state["type"] == "numpy":
        return ()
    if state["type"] == "json":
        return (*_items(state), ("", state["shape"]))
    raise Breach("", "The schema has an array of an unknown kind.")


#: Loader -> the nodes below a node of that loader. A loader that is not listed is not read.
CHILDREN: dict[str, Callable[[State], Children]] = {
    "BytearrayNode": _none,
    "BytesNode": _none,
    "DTypeNode": _content,
    "DefaultDictNode": _parts("main", "default_factory"),
    "DictNode": _values,
    "FunctionNode": _none,
    "JsonNode": _none,
    "ListNode": _items,
    "LossNode": _reduced,
    "MaskedArrayNode": _parts("data", "mask"),
    "NdArrayNode": _array,
    "ObjectNode": _optional_content,
    "PartialNode": _parts("func", "args", "kwds", "namespace"),
    "RandomGeneratorNode": _parts("bit_generator", "seed_seq"),
    "RandomStateNode": _content,
    "SetNode": _items,
    "SliceNode": _none,
    "SparseMatrixNode": _none,
    "TreeNode": _reduced,
    "TupleNode": _items,
    "TypeNode": _none,
}
#: Loaders that read an entry of the archive, besides arrays of type "numpy".
READS_FILE = {"BytearrayNode", "BytesNode", "SparseMatrixNode"}
#: Loaders with rules about what stands directly below them.
LOOKED_INTO = {"DictNode", "DefaultDictNode", "PartialNode", "RandomGeneratorNode"}


def walk(schema: State) -> list[Node]:
    """Every node of a schema, in the order they stand there.

    A node with a loader that is not read is listed, and not what is below it.

    Raises:
        Breach: a node that is not formed as skops forms it, too many nodes, or too deep.
    """
    try:
        return _collect(schema)
    except (KeyError, TypeError, AttributeError) as error:
        raise Breach("", "The schema has a node that skops does not write.") from error


def place(nodes: list[Node], index: int) -> str:
    """Where a node is in the model: `steps[1].coef_`."""
    labels: list[str] = []
    while index >= 0:
        labels.append(nodes[index].label)
        index = nodes[index].parent
    return "".join(reversed(labels)).lstrip(".")


def _collect(schema: State) -> list[Node]:
    nodes: list[Node] = []
    waiting: list[tuple[str, State, int, int]] = [("", schema, -1, 0)]
    while waiting:
        label, state, parent, depth = waiting.pop()
        if depth > MAX_DEPTH or len(nodes) >= MAX_NODES:
            raise TooDeep
        children = tuple(CHILDREN.get(state["__loader__"], _none)(state))
        node = _read(state, parent, label)
        if node.loader in LOOKED_INTO:
            node = node._replace(children=tuple(child for _, child in children))
        waiting.extend((name, child, len(nodes), depth + 1) for name, child in reversed(children))
        nodes.append(node)
    return nodes


def _read(state: State, parent: int, label: str) -> Node:
    loader, module, name = state["__loader__"], state["__module__"], state["__class__"]
    id_ = state["__id__"]
    if not (isinstance(module, str) and isinstance(name, str) and type(id_) is int and id_ > 0):
        raise Breach(label, "The schema has a node without a proper type or id.")
    value = state["content"] if loader == "JsonNode" else None
    if not (value is None or isinstance(value, str)):
        raise Breach(label, "The schema has a JSON value that is not text.")
    return Node(loader, f"{module}.{name}", id_, _file(loader, state), value, parent, label)


def _file(loader: str, state: State) -> str | None:
    if loader in READS_FILE or (loader == "NdArrayNode" and state["type"] == "numpy"):
        file = state["file"]
        if not isinstance(file, str):
            raise Breach("", "The schema refers to an entry by something that is not a name.")
        return file
    return None


def _list(value: Any) -> list[State]:
    if not isinstance(value, list):
        raise Breach("", "The schema has a list that is not one.")
    return value


def _dict(value: Any) -> dict[str, State]:
    if not isinstance(value, dict):
        raise Breach("", "The schema has a dictionary that is not one.")
    return value
