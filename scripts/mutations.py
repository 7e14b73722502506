"""Changes a model file at random: its bytes, its arrays, the nodes of its schema, the references between them."""

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

#: Numbers and texts that are wrong in interesting ways.
VALUES = (
    "-1", "0", "1", "2", "255", "65536", "2147483647", "-2147483648", "9223372036854775807", "1e308", "NaN",
    "null", "true", "[]", '""', '"filename"', '"precomputed"', '"kd_tree"', '"zero"', '"(a+)+$"', "1000000", "0.5",
)  # fmt: skip
PATTERNS = (b"\x00" * 8, b"\xff" * 8, b"\x7f" * 8, struct.pack("<q", 1 << 40), struct.pack("<d", float("nan")))
Node = dict[str, Any]


def change(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """A file, changed once or a few times.

    Args:
        data: a skops, npz or ONNX file.
        chance: seeded, so that each change can be made again.
        others: files to take parts from.
    """
    if not data.startswith(b"PK"):
        return flip(data, chance)
    if chance.random() < 0.1:  # noqa: PLR2004
        return flip(data, chance)
    entries = _unzip(data)
    if "schema.json" not in entries:
        return _zip(_change_array(entries, chance))
    kind = chance.choice((arrays, arrays, nodes, nodes, values, values, references, splice))
    return kind(entries, chance, [other for other in others if other.startswith(b"PK")])


def flip(data: bytes, chance: random.Random) -> bytes:
    """A few bytes anywhere, or a piece left out or doubled."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    if chance.random() < 0.1:  # noqa: PLR2004
        start, end = sorted(chance.randrange(len(changed)) for _ in range(2))
        changed[start:end] = chance.choice((b"", changed[start:end] * 2))
    return bytes(changed)


def arrays(entries: dict[str, bytes], chance: random.Random, _others: list[bytes]) -> bytes:
    """Numbers in an array, or its header."""
    for _ in range(chance.randint(1, 3)):
        entries = _change_array(entries, chance)
    return _zip(entries)


def nodes(entries: dict[str, bytes], chance: random.Random, _others: list[bytes]) -> bytes:
    """A node's loader, class, or members."""

    def edit(schema: Node) -> None:
        found = list(_walk(schema))
        for _ in range(chance.randint(1, 3)):
            node, other = chance.choice(found), chance.choice(found)
            key = chance.choice(list(node))
            action = chance.randrange(4)
            if action == 0:
                node.pop(key, None)
            elif action == 1:
                node[key] = json.loads(chance.choice(VALUES).replace("NaN", "1"))
            elif action == 2:  # noqa: PLR2004
                node.update(
                    {name: other[name] for name in ("__class__", "__module__", "__loader__") if name in other}
                )
            elif key in other:
                node[key] = other[key]

    return _edited(entries, edit)


def values(entries: dict[str, bytes], chance: random.Random, _others: list[bytes]) -> bytes:
    """A plain value: a number, a text, a setting. Ids are made new, or the first with an id would count."""

    def edit(schema: Node) -> None:
        plain = [node for node in _walk(schema) if node.get("__loader__") == "JsonNode"]
        for _ in range(chance.randint(1, 4)):
            if plain:
                chance.choice(plain).update(content=chance.choice(VALUES), __id__=chance.getrandbits(40) + 1)

    return _edited(entries, edit)


def references(entries: dict[str, bytes], chance: random.Random, _others: list[bytes]) -> bytes:
    """Two nodes change places, ids or arrays."""

    def edit(schema: Node) -> None:
        found = list(_walk(schema))
        for _ in range(chance.randint(1, 3)):
            first, second = chance.choice(found), chance.choice(found)
            keys = chance.choice((("__id__",), ("file",), ("content",), tuple(first.keys() & second.keys())))
            for key in keys:
                if key in first and key in second:
                    first[key], second[key] = second[key], first[key]

    return _edited(entries, edit)


def splice(entries: dict[str, bytes], chance: random.Random, others: list[bytes]) -> bytes:
    """A part of another model in the place of one of this one's, with the arrays that belong to it."""
    other = _unzip(chance.choice(others))
    if "schema.json" not in other:
        return _zip(entries)

    def edit(schema: Node) -> None:
        mine, theirs = list(_walk(schema)), list(_walk(json.loads(other["schema.json"])))
        part = chance.choice(theirs)
        target = chance.choice(mine)
        target.clear()
        target.update(part)

    return _edited(other | entries, edit)


def _edited(entries: dict[str, bytes], edit: Callable[[Node], None]) -> bytes:
    schema = json.loads(entries["schema.json"])
    edit(schema)
    try:
        text = json.dumps(schema)
    except (ValueError, RecursionError):  # a node that was put into itself
        text = "{}"
    return _zip(entries | {"schema.json": text.encode()})


def _change_array(entries: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    names = sorted(name for name in entries if name.endswith(".npy"))
    if not names:
        return entries
    name = chance.choice(names)
    data = bytearray(entries[name])
    start = min(len(data) - 1, 10 + int.from_bytes(data[8:10], "little"))
    if chance.random() < 0.15:  # noqa: PLR2004
        data[chance.randrange(start)] = chance.choice(b"0123456789,()<>|fiuO ")
        return entries | {name: bytes(data)}
    for _ in range(chance.randint(1, 6)):
        at = start + (chance.randrange(max(1, len(data) - start)) & ~7)
        pattern = chance.choice((*PATTERNS, struct.pack("<q", chance.randrange(-50, 50)), chance.randbytes(8)))
        data[at : at + 8] = pattern[: len(data[at : at + 8])]
    return entries | {name: bytes(data)}


def _walk(schema: Node) -> Iterator[Node]:
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "__loader__" in part:
                yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _unzip(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zip(entries: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # by its name alone the time would be in it
    return target.getvalue()
