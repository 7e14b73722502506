"""Bytes that are not taken, by what they are (rows F1 to F3 of the bad inputs)."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import joblib
import models
import numpy as np

VALUE = {"a": np.arange(3)}


def joblib_bytes(compress: Any) -> bytes:
    target = io.BytesIO()
    joblib.dump(VALUE, target, compress=compress)
    return target.getvalue()


def zip_bytes(**entries: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return target.getvalue()


PICKLES = {
    **{f"pickle protocol {protocol}": pickle.dumps(VALUE, protocol) for protocol in range(6)},
    "pickle of a class, protocol 0": pickle.dumps(Path, 0),
    "joblib": joblib_bytes(0),
    "joblib zlib": joblib_bytes(("zlib", 3)),
    "joblib gzip": joblib_bytes(("gzip", 3)),
    "joblib bz2": joblib_bytes(("bz2", 3)),
    "joblib xz": joblib_bytes(("xz", 3)),
    "joblib lzma": joblib_bytes(("lzma", 3)),
    "lz4": b"\x04\x22\x4d\x18" + bytes(20),
    "gzip": gzip.compress(pickle.dumps(VALUE)),
    "bzip2": bz2.compress(pickle.dumps(VALUE)),
    "xz": lzma.compress(pickle.dumps(VALUE)),
    "zlib": zlib.compress(pickle.dumps(VALUE), 9),
    "torch": zip_bytes(archive__data_dot_pkl=pickle.dumps(VALUE), archive__version=b"3"),
}
OTHERS = {
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(50),
    "Keras": zip_bytes(config_dot_json=b"{}", metadata_dot_json=b"{}", model_dot_weights=b""),
    "npy": b"\x93NUMPY\x01\x00" + bytes(50),
}
UNREADABLE = {
    "nothing": b"",
    "one byte": b"x",
    "noise": b"\x01" + os.urandom(1 << 16),
    "text": b"hello, here is my model",
    "a cut off model": models.skops_bytes(models.line())[:-40],
    "a zip with a pickle in it": zip_bytes(model_dot_pkl=pickle.dumps(VALUE)),
    "a pickle before a zip": pickle.dumps(VALUE) + models.skops_bytes(models.line()),
}
