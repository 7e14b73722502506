"""The gate: what a skops file must look like before anything in it is constructed.

The checks run in this order, cheapest first, and none of them imports or builds what the file names:
the zip structure, the size and form of the schema, a walk over its nodes, the exact-type allow-list.
"""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from model_store.errors import NotAPredictor, Unreadable, Unsafe
from model_store.formats.skops import allowed, archive
from model_store.formats.skops.nodes import Node, walk

#: The one revision of the format that is read. Older ones choose older, weaker readers inside skops.
PROTOCOL = 2
MAX_SCHEMA = 256 << 20
MAX_FINDINGS = 20


def clear(path: Path) -> frozenset[str]:
    """The types named in the file, if all of them are allowed.

    Raises:
        Unreadable: damaged, or not what skops writes.
        Unsafe: holds something that is not allowed.
        NotAPredictor: holds a list, an array, a class, anything but an object.
    """
    try:
        with zipfile.ZipFile(path) as file:
            archive.check(file, path.stat().st_size)
            nodes = walk(_read_schema(file))
            archive.check_files(file, nodes)
    except (
        zipfile.BadZipFile,
        EOFError,
        OSError,
        NotImplementedError,
        zlib.error,
    ) as error:
        raise Unreadable("The zip archive is damaged or cut off.") from error
    root = nodes[0]
    if root.loader == "TypeNode" and allowed.is_allowed("ObjectNode", root.type):
        raise NotAPredictor("The file holds the class of an estimator, not a fitted one.")
    types = _check_types(nodes)
    if root.loader != "ObjectNode":
        raise NotAPredictor("The file does not hold a scikit-learn estimator.")
    return types


def _read_schema(file: zipfile.ZipFile) -> dict[str, Any]:
    if file.getinfo("schema.json").file_size > MAX_SCHEMA:
        raise Unsafe(f"The file's schema.json is larger than {MAX_SCHEMA >> 20} MB.")
    try:
        schema = json.loads(file.read("schema.json"))
    except RecursionError:
        raise Unsafe("The file's schema.json is nested too deeply.") from None
    except ValueError:
        raise Unreadable("The file's schema.json is not JSON.") from None
    if not isinstance(schema, dict):
        raise Unreadable("The file's schema.json is not a JSON object.")
    protocol = schema.get("protocol")
    if type(protocol) is not int or protocol != PROTOCOL:
        raise Unreadable(
            f"The file's skops protocol is not {PROTOCOL}, the only one that is read. "
            "Write it again with a current skops release: pip install -U skops"
        )
    return schema


def _check_types(nodes: list[Node]) -> frozenset[str]:
    named = {(node.loader, node.type) for node in nodes if node.loader != "JsonNode"}
    refused = sorted({type_ for loader, type_ in named if not allowed.is_allowed(loader, type_)})
    if refused:
        shown = tuple(refused[:MAX_FINDINGS])
        raise Unsafe(
            "The file holds types that are not on the allow-list: "
            f"{', '.join(_printable(name) for name in shown)}"
            f"{' and more' if len(refused) > len(shown) else ''}. "
            "Taken are scikit-learn's own estimators and what they are made of.",
            findings=tuple(_printable(name) for name in shown),
        )
    return frozenset(type_ for _, type_ in named)


def _printable(name: str) -> str:
    """A type's name as a report may show it: only what a dotted name is made of, and not too long."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._") else "?" for c in name[:120])
