"""The pickle format, and joblib's: read only where the operator allows it, and only in a model host.

Reading a pickle runs whatever code it holds. No rule can make that safe, so there is none.
"""

from pathlib import Path
from typing import Any

import joblib

from model_store.errors import Unreadable, UnsupportedFormat
from model_store.formats.rules import Audit, Found, Rule
from model_store.safety import Policy

WARNING = "This is a pickle: reading it ran its code. It is taken because the operator allows it (--allow-pickle)."


def what_is_read_is_code(path: Path) -> list[Found]:
    """Whoever uploads a pickle runs code on the server."""
    return [Found("", WARNING, "warning")] if path.is_file() else []


def load(path: Path, policy: Policy, audit: Audit) -> Any:
    """The object in a pickle.

    Raises:
        UnsupportedFormat: the operator does not allow pickles.
        Unreadable: it cannot be read.
    """
    if not policy.allow_pickle:
        raise UnsupportedFormat("Pickles are not read any more: the server was started without --allow-pickle.")
    audit.apply([Rule(what_is_read_is_code)], path)
    try:
        estimator = joblib.load(path)
    except Exception as error:
        message = f"The pickle could not be read ({type(error).__name__})."
        raise audit.refuse("file-loads", message, Unreadable) from error
    audit.classes = (f"{type(estimator).__module__}.{type(estimator).__qualname__}",)
    return estimator
