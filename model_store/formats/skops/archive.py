"""The zip structure of a skops file: what entries there may be, and that they are what the schema refers to."""

import io
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
NPY = b"\x93NUMPY"
#: What scipy.sparse.save_npz writes, for all kinds of matrices.
SPARSE_ENTRIES = {
    f"{name}.npy"
    for name in ("_is_array", "col", "coords", "data", "format", "indices", "indptr", "offsets", "row", "shape")
}
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
    _check_growth(entries, size)


def check_files(file: zipfile.ZipFile, nodes: list[Node]) -> None:
    """Raises Unsafe or Unreadable unless each entry is what its one reader takes it for."""
    readers: dict[str, Node] = {}
    for node in nodes:
        if node.file is not None and readers.setdefault(node.file, node).id != node.id:
            raise Unsafe("One stored array is referred to by several objects, as a memory bomb does.")
    missing = readers.keys() - set(file.namelist())
    if missing:
        raise Unreadable("The schema refers to arrays that are not in the archive.")
    for name, node in readers.items():
        _check_content(file, name, node)


def _check_content(file: zipfile.ZipFile, name: str, node: Node) -> None:
    if node.loader == "NdArrayNode":
        with file.open(name) as entry:
            if entry.read(len(NPY)) != NPY:
                raise Unsafe("The archive has an array that is not in numpy's own format.")
    elif node.loader == "SparseMatrixNode":
        _check_sparse(file.read(name))


def _check_sparse(data: bytes) -> None:
    """A sparse matrix is a zip archive in the archive; it is bounded by the same rule."""
    with zipfile.ZipFile(io.BytesIO(data)) as inner:
        entries = inner.infolist()
        if not {entry.filename for entry in entries} <= SPARSE_ENTRIES:
            raise Unsafe("The archive has a sparse matrix with an entry that scipy does not write.")
        _check_unique(entries)
        _check_growth(entries, len(data))
        for entry in entries:
            with inner.open(entry) as part:
                if part.read(len(NPY)) != NPY:
                    raise Unsafe("The archive has an array that is not in numpy's own format.")


def _check_growth(entries: list[zipfile.ZipInfo], size: int) -> None:
    if sum(entry.file_size for entry in entries) > size * RATIO + ALLOWANCE:
        raise Unsafe("The archive claims to unpack to many times its size, as a zip bomb does.")


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
