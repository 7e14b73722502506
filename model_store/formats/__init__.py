"""The artifact formats: one table, one module per format, told apart by their bytes and never by a name.

To add a format: write a module with `load(path, policy, audit) -> estimator` that refuses what is unsafe before it
constructs anything, name it in `LOADERS`, and teach `sniffing.py` its first bytes.
"""

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model_store.formats.rules import Audit
from model_store.safety import STRICT, Policy

#: Format -> the module that reads it. The modules import scikit-learn, so they are imported in a host only.
LOADERS = {
    "npz": "model_store.formats.npz",
    "onnx": "model_store.formats.onnx",
    "pickle": "model_store.formats.pickled",
    "skops": "model_store.formats.skops",
}


def load(format_: str, path: Path, policy: Policy = STRICT, audit: Audit | None = None) -> Any:
    """The estimator in an artifact, after every check of its format.

    Args:
        format_: a key of LOADERS.
        path: the artifact.
        policy: what the operator allows beyond what is safe for everybody.
        audit: collects what the checks find.

    Raises:
        Refused: see the format's module.
    """
    with _no_collection():
        return importlib.import_module(LOADERS[format_]).load(path, policy, audit or Audit())


@contextmanager
def _no_collection() -> Iterator[None]:
    """Nothing of what is being made is garbage yet, and looking for some costs a third of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
