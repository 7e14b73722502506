"""The skops format: checked by the gate in this package, loaded by the skops library, and its values checked."""

import sys
import warnings
from pathlib import Path
from typing import Any

import skops.io
from sklearn._loss import _loss
from sklearn.exceptions import InconsistentVersionWarning

from model_store.errors import Unreadable, Unsafe
from model_store.formats.rules import Audit
from model_store.formats.skops.gate import clear
from model_store.formats.skops.values import examine
from model_store.safety import STRICT, Policy

# The name of this module until scikit-learn 1.8, under which files of that time refer to it.
sys.modules.setdefault("_loss", _loss)


def load(path: Path, policy: Policy = STRICT, audit: Audit | None = None) -> Any:
    """The object in a skops file that has passed the gate, with harmless settings.

    Raises:
        Unreadable: damaged, or not what skops writes.
        Unsafe: holds a type, a structure or a value that is not allowed.
    """
    noted = audit or Audit()
    types = clear(path, policy, noted)
    estimator = _construct(path, types, noted)
    examine(estimator, noted)
    return estimator


def _construct(path: Path, types: frozenset[str], audit: Audit) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Another scikit-learn wrote the file: whoever loads it wants to know, so it stays a warning.
            warnings.simplefilter("default", InconsistentVersionWarning)
            return skops.io.load(path, trusted=sorted(types))
    except skops.io.exceptions.UntrustedTypesFoundException as error:
        raise audit.refuse("types-are-allowed", "The file holds types that are not allowed.", Unsafe) from error
    except MemoryError:
        raise
    except Exception as error:
        raise audit.refuse(
            "file-loads",
            f"The file passed the safety checks but could not be loaded ({type(error).__name__}). "
            "It may be damaged, or written by a release of scikit-learn that is too far from this one.",
            Unreadable,
        ) from error
