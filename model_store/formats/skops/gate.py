"""The gate: what a skops file must look like before anything in it is constructed, as one ordered list of rules.

The cheapest come first, each may rely on those before it, and none of them imports or builds what the file names.
What is in the arrays and attributes is looked at after loading, by the rules in `values/`.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from model_store.errors import NotAPredictor, Unreadable
from model_store.formats import archive
from model_store.formats.archive import Archive
from model_store.formats.arrays import fault
from model_store.formats.rules import Audit, Breach, Found, Rule, printable, unreadable
from model_store.formats.skops import allowed, nodes
from model_store.formats.skops.nodes import CHILDREN, Node, State, TooDeep
from model_store.safety import Policy

#: skops names an entry after the number of the object, or after a random UUID.
RELEASE = re.compile(r"[0-9][0-9A-Za-z.+]{0,39}")
ENTRY_NAME = re.compile(r"schema\.json|[0-9]{1,20}\.np[yz]|[0-9a-f-]{36}\.bin")
#: What scipy.sparse.save_npz writes, for all kinds of matrices.
SPARSE_ENTRY = re.compile(r"(_is_array|col|coords|data|format|indices|indptr|offsets|row|shape)\.npy")
#: The one revision of the format that is read. Older ones choose older, weaker readers inside skops.
PROTOCOL = 2
MAX_SCHEMA = 256 << 20
#: Classes that a report lists.
MAX_CLASSES = 1_000
TRUSTED = "The operator trusts this type (--trust); it runs in model hosts, and nothing is known about it."
BIT_GENERATORS = {f'"{name}"' for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")}
CHECK_ARRAY = ("FunctionNode", "sklearn.utils.validation", "check_array")


class SkopsFile(Archive):
    """A skops file as the rules see it: each part is read when the first rule asks for it.

    Args:
        file: the archive.
        size: its size in bytes.
        trusted: types that the operator allows besides.
    """

    def __init__(self, file: zipfile.ZipFile, size: int, trusted: tuple[str, ...] = ()) -> None:
        super().__init__(file, size, ENTRY_NAME)
        self.trusted = frozenset(trusted)

    @cached_property
    def schema(self) -> Any:
        """The parsed schema."""
        try:
            return json.loads(self.file.read("schema.json"))
        except RecursionError:
            raise TooDeep from None
        except ValueError:
            raise Breach("schema.json", "The schema is not JSON.") from None

    @cached_property
    def nodes(self) -> list[Node]:
        """Every node of the schema."""
        return nodes.walk(self.schema)

    @cached_property
    def readers(self) -> dict[str, int]:
        """Entry -> the number of the node that reads it."""
        return {node.file: index for index, node in enumerate(self.nodes) if node.file is not None}

    def place(self, index: int) -> str:
        """Where the node of a number is in the model."""
        return nodes.place(self.nodes, index)

    def nodes_of(self, *loaders: str) -> Iterator[tuple[int, Node]]:
        """The nodes of these loaders, with their numbers."""
        return ((index, node) for index, node in enumerate(self.nodes) if node.loader in loaders)


def schema_is_of_moderate_size(file: SkopsFile) -> Iterator[Found]:
    """A schema is read whole, so its size is what reading it costs."""
    if file.file.getinfo("schema.json").file_size > MAX_SCHEMA:
        yield Found("schema.json", f"The schema is larger than {MAX_SCHEMA >> 20} MB.")


def nesting_is_bounded(file: SkopsFile) -> Iterator[Found]:
    """Skops reads a schema with one call in another for each level."""
    try:
        if isinstance(file.schema, dict):
            _ = file.nodes
    except TooDeep as breach:
        yield breach.found
    except Breach:
        return  # the rules about form say so


def schema_is_an_object(file: SkopsFile) -> Iterator[Found]:
    """Anything else was not written by skops."""
    if not isinstance(file.schema, dict):
        yield Found("schema.json", "The schema is not a JSON object.")


def protocol_is_current(file: SkopsFile) -> Iterator[Found]:
    """Older protocols choose older, weaker readers inside skops."""
    protocol = file.schema.get("protocol")
    if type(protocol) is not int or protocol != PROTOCOL:
        yield Found(
            "schema.json",
            f"The file's skops protocol is not {PROTOCOL}, the only one that is read. "
            "Write it again with a current skops release: pip install -U skops",
        )


def nodes_are_formed_as_skops_forms_them(file: SkopsFile) -> Iterator[Found]:
    """What is not walked over cannot be judged."""
    if not file.nodes:
        yield Found("schema.json", "The schema is empty.")


def loaders_are_known(file: SkopsFile) -> Iterator[Found]:
    """Some loaders of skops call what the file names."""
    for index, node in enumerate(file.nodes):
        if node.loader not in CHILDREN:
            yield Found(
                file.place(index), "The schema uses a loader that is not allowed, one that could run code."
            )


def keys_are_made_by_types(file: SkopsFile) -> Iterator[Found]:
    """The type of a key is called with the key."""
    for index, node in file.nodes_of("DictNode"):
        if not _makes_keys(node.children[0]):
            yield Found(
                file.place(index), "The schema has a dictionary whose keys are made by something else than types."
            )


def defaults_are_plain_types(file: SkopsFile) -> Iterator[Found]:
    """The default of a dictionary is called when a key is missing."""
    for index, node in file.nodes_of("DefaultDictNode"):
        if node.children[1]["__loader__"] not in ("TypeNode", "JsonNode"):
            yield Found(file.place(index), "The schema has a dictionary whose default is not a plain type.")


def partials_are_of_check_array(file: SkopsFile) -> Iterator[Found]:
    """A partial is a call in waiting; categorical histogram boosting needs this one."""
    for index, node in file.nodes_of("PartialNode"):
        if _named(node.children[0]) != CHECK_ARRAY:
            yield Found(file.place(index), "The schema has a partial function, which could run code.")


def random_generators_are_numpys(file: SkopsFile) -> Iterator[Found]:
    """The name of the bit generator is called."""
    for index, node in file.nodes_of("RandomGeneratorNode"):
        if _bit_generator(node.children[0]) not in BIT_GENERATORS:
            yield Found(file.place(index), "The schema has a random generator of an unknown kind.")


def an_id_means_one_thing(file: SkopsFile) -> Iterator[Found]:
    """Skops resolves an id to the first node that had it, so each further one must be the same again.

    The same means: of the same loader, type and value, with the same nodes below it. Then what is loaded is
    what was walked over, and never more of it: no cycles, nothing that doubles from level to level, and no
    node that passes the checks in one place and is used in another.
    """
    below: list[list[bytes]] = [[] for _ in file.nodes]
    first: dict[int, bytes] = {}
    for index in range(len(file.nodes) - 1, -1, -1):
        node = file.nodes[index]
        identity = _identity(node, below[index])
        below[index] = []
        if first.setdefault(node.id, identity) != identity:
            yield Found(
                nodes.place(file.nodes, index),
                "The schema uses one id for different objects, as a decompression bomb does.",
            )
        if index:
            below[node.parent].append(identity)


def types_are_allowed(file: SkopsFile) -> Iterator[Found]:
    """A type outside the list can do anything when it is constructed or used."""
    seen = {(node.loader, node.type) for node in file.nodes if node.loader != "JsonNode"}
    for loader, type_ in sorted(seen, key=lambda named: named[1]):
        if not allowed.is_allowed(loader, type_, file.trusted):
            yield Found(type_, f"The file holds a type that is not on the allow-list: {printable(type_)}.")
        elif type_ in file.trusted:
            yield Found(type_, TRUSTED, "warning")


def root_is_not_a_class(file: SkopsFile) -> Iterator[Found]:
    """A class was never fitted."""
    root = file.nodes[0]
    if root.loader == "TypeNode" and allowed.is_allowed("ObjectNode", root.type):
        yield Found("", "The file holds the class of an estimator, not a fitted one.")


def root_is_an_object(file: SkopsFile) -> Iterator[Found]:
    """Lists, arrays and functions cannot predict."""
    if file.nodes[0].loader != "ObjectNode":
        yield Found("", "The file does not hold a scikit-learn estimator.")


def arrays_are_in_the_archive(file: SkopsFile) -> Iterator[Found]:
    """What is referred to must be there."""
    if file.readers.keys() - file.names_of_entries():
        yield Found("", "The schema refers to arrays that are not in the archive.")


def arrays_have_one_owner(file: SkopsFile) -> Iterator[Found]:
    """One large array under hundreds of names is gigabytes when it is loaded."""
    for index, node in enumerate(file.nodes):
        if node.file is not None and file.nodes[file.readers[node.file]].id != node.id:
            yield Found(file.place(index), "One stored array belongs to several objects, as in a memory bomb.")


def arrays_are_what_their_headers_say(file: SkopsFile) -> Iterator[Found]:
    """Numpy allocates what a header claims, and unpickles objects."""
    for name, index in file.readers.items():
        if file.nodes[index].loader == "NdArrayNode":
            with file.file.open(name) as entry:
                if wrong := fault(entry, file.file.getinfo(name).file_size):
                    yield Found(file.place(index), wrong)


def sparse_matrices_are_plain_archives(file: SkopsFile) -> Iterator[Found]:
    """A sparse matrix is an archive in the archive, to which the same rules apply."""
    for name, index in file.readers.items():
        if file.nodes[index].loader == "SparseMatrixNode":
            yield from _faults_of_sparse(file.file.read(name), file.place(index))


#: In their order; each relies on those before it.
RULES = (
    *archive.RULES,
    Rule(schema_is_of_moderate_size),
    Rule(nesting_is_bounded),
    unreadable(schema_is_an_object),
    unreadable(protocol_is_current),
    unreadable(nodes_are_formed_as_skops_forms_them),
    Rule(loaders_are_known),
    Rule(keys_are_made_by_types),
    Rule(defaults_are_plain_types),
    Rule(partials_are_of_check_array),
    Rule(random_generators_are_numpys),
    Rule(an_id_means_one_thing),
    Rule(root_is_not_a_class, NotAPredictor),
    Rule(types_are_allowed),
    Rule(root_is_an_object, NotAPredictor),
    unreadable(arrays_are_in_the_archive),
    Rule(arrays_have_one_owner),
    Rule(arrays_are_what_their_headers_say),
    Rule(sparse_matrices_are_plain_archives),
)


def clear(path: Path, policy: Policy, audit: Audit) -> frozenset[str]:
    """The types that are named in a file which every rule of the gate lets pass.

    Raises:
        Refused: of the kind that the refusing rule says.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return _apply(SkopsFile(file, path.stat().st_size, policy.trusted), audit)
    except archive.DAMAGE as error:
        raise audit.refuse("archive-is-whole", "The zip archive is damaged or cut off.", Unreadable) from error


def _apply(subject: SkopsFile, audit: Audit) -> frozenset[str]:
    try:
        audit.apply(RULES, subject)
    finally:
        audit.classes = _classes(subject)
    audit.fitted = _fitted(subject.schema)
    return frozenset(node.type for node in subject.nodes if node.loader != "JsonNode")


def _fitted(schema: dict[str, Any]) -> dict[str, str]:
    """The release of scikit-learn, which every estimator of it saves among its attributes, and that of skops."""
    try:
        saved = json.loads(schema["content"]["content"]["_sklearn_version"]["content"])
    except (KeyError, TypeError, ValueError):
        saved = None
    said = {"scikit-learn": saved, "skops": schema.get("_skops_version")}
    return {name: text for name, text in said.items() if isinstance(text, str) and RELEASE.fullmatch(text)}


def _classes(file: SkopsFile) -> tuple[str, ...]:
    """What a report lists: objects and functions, but not the lists and numbers they are made of."""
    walked = file.__dict__.get("nodes", ())
    named = {node.type for node in walked if node.loader in ("ObjectNode", "FunctionNode", "TreeNode", "LossNode")}
    return tuple(sorted(printable(name) for name in named))[:MAX_CLASSES]


def _makes_keys(key_types: State) -> bool:
    return key_types["__loader__"] == "ListNode" and all(
        child["__loader__"] == "TypeNode" for child in key_types["content"]
    )


def _named(state: State) -> tuple[Any, Any, Any]:
    return state["__loader__"], state["__module__"], state["__class__"]


def _bit_generator(state: State) -> Any:
    try:
        return state["content"]["bit_generator"]["content"]
    except (KeyError, TypeError):
        return None


def _identity(node: Node, below: list[bytes]) -> bytes:
    """A digest of a node and everything under it, but for ids and entry names, which differ between copies."""
    parts = [node.loader.encode(), node.type.encode(), (node.value or "").encode(), *below]
    return blake2b(b"\0".join(parts), digest_size=16).digest()


def _faults_of_sparse(data: bytes, where: str) -> Iterator[Found]:
    with zipfile.ZipFile(io.BytesIO(data)) as inner:
        subject = Archive(inner, len(data), SPARSE_ENTRY)
        for rule in archive.ARRAY_RULES:  # each relies on those before it
            if found := next(iter(rule.check(subject)), None):
                yield found._replace(where=where)
                return
