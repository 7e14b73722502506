"""What an upload is, told by its bytes: the formats that are read, and those that never will be."""

import re
import zipfile
from pathlib import Path

from model_store.errors import Unreadable, UnsupportedFormat
from model_store.safety import STRICT, Policy

CONVERT = (
    "Such files run code when they are read, so they are never opened here. Convert it on a machine "
    "where you trust the file: wsgi-service convert model.pkl model.skops"
)
#: First bytes -> what the file is, for people. All of these are carriers of pickles.
PICKLE_FAMILY = {
    b"\x80": "a pickle",
    b"\x1f\x8b": "a gzip-compressed pickle",
    b"BZh": "a bzip2-compressed pickle",
    b"\xfd7zXZ": "an xz-compressed pickle",
    b"\x5d\x00\x00": "an lzma-compressed pickle",
    b"\x04\x22\x4d\x18": "an lz4-compressed pickle",
    b"\x78\x01": "a zlib-compressed pickle",
    b"\x78\x5e": "a zlib-compressed pickle",
    b"\x78\x9c": "a zlib-compressed pickle",
    b"\x78\xda": "a zlib-compressed pickle",
    b"ZF": "an old joblib pickle",
}
#: Pickle protocols 0 and 1 have no magic number; these are the ways such files begin.
OLD_PICKLE = re.compile(rb"[(\]}]*(?:[dlt]p0\n|q\x00|c[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n)")
OTHER_FORMATS = {
    b"\x89HDF": "an HDF5 (.h5) file",
    b"\x93NUMPY": "a single numpy array (.npy)",
    b"PAR1": "a Parquet file",
}
ZIP = b"PK\x03\x04"
#: ONNX is a protobuf message without a magic number: field 1 (ir_version, up to 127), then field 2, 3, 5, 7 or 8.
ONNX = re.compile(rb"\x08[\x01-\x7f][\x12\x1a\x28\x3a\x42]")


def sniff(path: Path, policy: Policy = STRICT) -> str:
    """The format of an uploaded file, a key of `LOADERS`.

    Raises:
        UnsupportedFormat: a known format that is not read; the text says what to do instead.
        Unreadable: nothing that is known.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(ZIP):
        return _sniff_zip(path)
    if ONNX.match(head):
        return "onnx"
    if _is_pickle(head, path):
        return _pickle(head, policy)
    for magic, name in OTHER_FORMATS.items():
        if head.startswith(magic):
            raise UnsupportedFormat(f"This looks like {name}. Upload a .skops file of the fitted estimator.")
    raise Unreadable(
        "This is not a model file: expected a .skops file as skops.io.dump writes it, an ONNX program, "
        "or an .npz file of a linear model."
    )


def _is_pickle(head: bytes, path: Path) -> bool:
    found = _pickle_name(head) is not None
    if found and zipfile.is_zipfile(path):
        raise Unreadable("This file is two things at once: a zip archive behind other data. It is not taken.")
    return found


def _pickle(head: bytes, policy: Policy) -> str:
    if policy.allow_pickle:
        return "pickle"
    raise UnsupportedFormat(f"This looks like {_pickle_name(head)} (pickle, joblib, dill, cloudpickle). {CONVERT}")


def _pickle_name(head: bytes) -> str | None:
    pickled = next((name for magic, name in PICKLE_FAMILY.items() if head.startswith(magic)), None)
    return "a pickle" if pickled is None and OLD_PICKLE.match(head) else pickled


def _sniff_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise Unreadable("The file begins like a zip archive but is damaged or cut off.") from None
    if "schema.json" in names:
        return "skops"
    if "coef.npy" in names:
        return "npz"
    if any(name.endswith("/data.pkl") for name in names):
        raise UnsupportedFormat(f"This looks like a PyTorch file, which holds a pickle. {CONVERT}")
    if {"config.json", "metadata.json"} <= names:
        raise UnsupportedFormat("This looks like a Keras file. Upload a .skops file of a scikit-learn estimator.")
    raise Unreadable(
        "This zip archive is not a .skops file, it has no schema.json, and not an .npz file of a linear model, "
        "it has no coef.npy."
    )
