"""The artifact formats: one table, one module per format, told apart by their bytes and never by a name.

To add a format: write a module with `load(path) -> estimator` that refuses what is unsafe before it constructs
anything, name it in `LOADERS`, and teach `sniffing.py` its first bytes.
"""

import importlib
from pathlib import Path
from typing import Any

#: Format -> the module that reads it. The modules import scikit-learn, so they are imported in a host only.
LOADERS = {"skops": "model_store.formats.skops"}


def load(format_: str, path: Path) -> Any:
    """The estimator in an artifact, after every check of its format.

    Raises:
        Unreadable, Unsafe: see the format's module.
    """
    return importlib.import_module(LOADERS[format_]).load(path)
