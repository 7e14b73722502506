"""The zip structure of a skops file: what entries there may be, and that they are what the schema refers to."""

import re
import zipfile
from collections import Counter

from model_store.errors import Unreadable, Unsafe
from model_store.formats.skops.nodes import Node

#: skops names an entry after the number of the object, or after a random UUID.
ENTRY_NAME = re.compile(r"schema\.json|[0-9]{1,20}\.np[yz]|[0-9a-f-]{36}\.bin")
MAX_ENTRIES = 200_000
#: What an archive may grow to: its own size times RATIO, plus a little for small files.
RATIO = 40
ALLOWANCE = 32 << 20
ENCRYPTED = 0x1
LOCAL_HEADER = 30


def check(file: zipfile.ZipFile, size: int) -> None:
    """Raises Unsafe or Unreadable unless the archive is plain: as skops writes it, and bounded."""
    entries = file.infolist()
    if len(entries) > MAX_ENTRIES:
        raise Unsafe(f"The archive has more than {MAX_ENTRIES} entries.")
    for entry in entries:
        _check_entry(entry)
    _check_unique(entries)
    _check_layout(entries)
    if sum(entry.file_size for entry in entries) > size * RATIO + ALLOWANCE:
        raise Unsafe("The archive claims to unpack to many times its size, as a zip bomb does.")


def check_files(file: zipfile.ZipFile, nodes: list[Node]) -> None:
    """Raises Unsafe or Unreadable unless each entry is read by one object and each reference is there."""
    readers: dict[str, int] = {}
    for node in nodes:
        if node.file is not None and readers.setdefault(node.file, node.id) != node.id:
            raise Unsafe("One stored array is referred to by several objects, as a memory bomb does.")
    missing = readers.keys() - set(file.namelist())
    if missing:
        raise Unreadable("The schema refers to arrays that are not in the archive.")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    if not ENTRY_NAME.fullmatch(entry.filename) or entry.orig_filename != entry.filename:
        raise Unsafe("The archive has an entry that skops does not write.")
    if entry.flag_bits & ENCRYPTED:
        raise Unsafe("The archive has an encrypted entry.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unsafe("The archive uses a compression other than deflate.")


def _check_unique(entries: list[zipfile.ZipInfo]) -> None:
    if any(count > 1 for count in Counter(entry.filename for entry in entries).values()):
        raise Unsafe("The archive has two entries of one name.")


def _check_layout(entries: list[zipfile.ZipInfo]) -> None:
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end or (end == 0 and entry.header_offset != 0):
            raise Unsafe("The archive's entries overlap, or other data stands before them.")
        end = entry.header_offset + LOCAL_HEADER + len(entry.filename) + entry.compress_size
