"""A walk over the nodes of a skops schema, without recursion and without constructing anything."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

from model_store.errors import Unreadable, Unsafe

MAX_NODES = 5_000_000
#: skops itself reads the schema recursively; legitimate files nest a few dozen levels deep.
MAX_DEPTH = 200

State = dict[str, Any]


class Node(NamedTuple):
    """One node of the schema, as the checks see it."""

    loader: str
    type: str
    id: int
    file: str | None
    value: str | None
    parent: int


def _none(_state: State) -> list[State]:
    return []


def _content(state: State) -> list[State]:
    return [state["content"]]


def _optional_content(state: State) -> list[State]:
    return [] if state.get("content") is None else [state["content"]]


def _items(state: State) -> list[State]:
    return _list(state["content"])


def _values(state: State) -> list[State]:
    return [state["key_types"], *_dict(state["content"]).values()]


def _parts(*names: str) -> Callable[[State], list[State]]:
    return lambda state: [state["content"][name] for name in names]


def _reduced(state: State) -> list[State]:
    return [state["content"], state["__reduce__"]["args"]]


def _array(state: State) -> list[State]:
    if state["type"] == "numpy":
        return []
    if state["type"] == "json":
        return [*_list(state["content"]), state["shape"]]
    raise Unreadable("The schema has an array of an unknown kind.")


#: Loader -> the nodes below a node of that loader. A loader that is not listed is not read.
CHILDREN: dict[str, Callable[[State], list[State]]] = {
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


def walk(schema: State) -> list[Node]:
    """Every node of a schema, in the order they stand there.

    Raises:
        Unsafe: a loader that is not read, too many nodes, too deep, or an id that stands for two things.
        Unreadable: a node that is not formed as skops forms it.
    """
    try:
        nodes = _collect(schema)
    except (KeyError, TypeError, AttributeError) as error:
        raise Unreadable("The schema has a node that skops does not write.") from error
    _check_ids(nodes)
    return nodes


def _collect(schema: State) -> list[Node]:
    nodes: list[Node] = []
    waiting: list[tuple[State, int, int]] = [(schema, -1, 0)]
    while waiting:
        state, parent, depth = waiting.pop()
        if depth > MAX_DEPTH or len(nodes) >= MAX_NODES:
            raise Unsafe("The schema is nested too deeply or has too many nodes.")
        node = _read(state, parent)
        children = CHILDREN[node.loader](state)
        _check_special(node, children)
        waiting.extend((child, len(nodes), depth + 1) for child in reversed(children))
        nodes.append(node)
    return nodes


def _read(state: State, parent: int) -> Node:
    loader, module, name = state["__loader__"], state["__module__"], state["__class__"]
    id_ = state["__id__"]
    if not (isinstance(module, str) and isinstance(name, str) and type(id_) is int and id_ > 0):
        raise Unreadable("The schema has a node without a proper type or id.")
    if loader not in CHILDREN:
        raise Unsafe("The schema uses a loader that is not allowed, one that could run code.")
    value = state["content"] if loader == "JsonNode" else None
    if not (value is None or isinstance(value, str)):
        raise Unreadable("The schema has a JSON value that is not text.")
    return Node(loader, f"{module}.{name}", id_, _file(loader, state), value, parent)


def _file(loader: str, state: State) -> str | None:
    if loader in READS_FILE or (loader == "NdArrayNode" and state["type"] == "numpy"):
        file = state["file"]
        if not isinstance(file, str):
            raise Unreadable("The schema refers to an entry by something that is not a name.")
        return file
    return None


def _check_special(node: Node, children: list[State]) -> None:
    if node.loader == "DictNode":
        _check_keys(children[0])
    elif node.loader == "DefaultDictNode" and children[1]["__loader__"] not in (
        "TypeNode",
        "JsonNode",
    ):
        raise Unsafe("The schema has a dictionary whose default is not a plain type.")
    elif node.loader == "PartialNode":
        _check_partial(children)
    elif node.loader == "RandomGeneratorNode":
        _check_generator(children[0])


def _check_keys(key_types: State) -> None:
    """The type of a key is called with the key, so it must be a type and not a function."""
    if key_types["__loader__"] != "ListNode":
        raise Unsafe("The schema has a dictionary without a list of key types.")
    if any(child["__loader__"] != "TypeNode" for child in _items(key_types)):
        raise Unsafe("The schema has a dictionary whose keys are made by something other than a type.")


def _check_partial(children: list[State]) -> None:
    """Categorical histogram boosting stores `partial(check_array, …)`; no other partial is needed."""
    func = children[0]
    if (func["__loader__"], func["__module__"], func["__class__"]) != (
        "FunctionNode",
        "sklearn.utils.validation",
        "check_array",
    ):
        raise Unsafe("The schema has a partial function, which could run code.")


def _check_generator(bit_generator: State) -> None:
    """The name of the bit generator is called, so it must be one of numpy's."""
    name = bit_generator["content"]["bit_generator"]["content"]
    if name not in {f'"{known}"' for known in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")}:
        raise Unsafe("The schema has a random generator of an unknown kind.")


def _check_ids(nodes: list[Node]) -> None:
    """An id is resolved by skops to the first node that had it, so each further one must be the same again.

    The same means: of the same loader, type and value, with the same nodes below it. Then what is loaded is
    what was walked over, and never more of it: no cycles, nothing that doubles from level to level, and no
    node that passes the checks in one place and is used in another.
    """
    below: list[list[bytes]] = [[] for _ in nodes]
    first: dict[int, bytes] = {}
    for index in range(len(nodes) - 1, -1, -1):
        node = nodes[index]
        identity = _identity(node, below[index])
        if first.setdefault(node.id, identity) != identity:
            raise Unsafe("The schema uses one id for different objects, as a decompression bomb does.")
        if index:
            below[node.parent].append(identity)


def _identity(node: Node, below: list[bytes]) -> bytes:
    """A digest of a node and everything under it, but for ids and entry names, which differ between copies."""
    parts = [node.loader.encode(), node.type.encode(), (node.value or "").encode(), *below]
    return blake2b(b"\0".join(parts), digest_size=16).digest()


def _list(value: Any) -> list[State]:
    if not isinstance(value, list):
        raise Unreadable("The schema has a list that is not one.")
    return value


def _dict(value: Any) -> dict[str, State]:
    if not isinstance(value, dict):
        raise Unreadable("The schema has a dictionary that is not one.")
    return value
