"""The skops format: checked by the gate in this package, then loaded by the skops library."""

import sys
import warnings
from pathlib import Path
from typing import Any

import skops.io
from sklearn._loss import _loss
from sklearn.exceptions import InconsistentVersionWarning

from model_store.errors import Unreadable, Unsafe
from model_store.formats.skops.gate import clear

# The name of this module until scikit-learn 1.8, under which files of that time refer to it.
sys.modules.setdefault("_loss", _loss)


def load(path: Path) -> Any:
    """The object in a skops file that has passed the gate.

    Raises:
        Unreadable: damaged, or not what skops writes.
        Unsafe: holds a type or a structure that is not allowed.
    """
    cleared = clear(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Another scikit-learn wrote the file: whoever loads it wants to know, so it stays a warning.
            warnings.simplefilter("default", InconsistentVersionWarning)
            return skops.io.load(path, trusted=sorted(cleared))
    except skops.io.exceptions.UntrustedTypesFoundException as error:
        raise Unsafe("The file holds types that are not allowed.") from error
    except MemoryError:
        raise
    except Exception as error:
        raise Unreadable(
            f"The file passed the safety checks but could not be loaded ({type(error).__name__}). "
            "It may be damaged, or written by a release of scikit-learn that is too far from this one."
        ) from error
