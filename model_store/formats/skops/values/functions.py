"""Functions as transformers: which may be called on rows, and with what."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from model_store.formats.rules import Found
from model_store.formats.skops.values.walk import Place

PAIRWISE = "sklearn.metrics.pairwise"
KEPT = ("ravel", "asarray")
#: What numpy's reductions may be told: along the columns of each row, never along the rows.
REDUCTION_KEYS = {"axis", "keepdims"}


def functions_give_row_for_row(place: Place) -> Iterator[Found]:
    """Arguments can start processes, leave memory unwritten, or make several rows one, which nobody expects."""
    transformer = place.value
    for name in ("func", "inverse_func"):
        arguments = getattr(transformer, "kw_args" if name == "func" else "inv_kw_args", None) or {}
        if not _is_harmless(getattr(transformer, name, None), arguments):
            yield Found(
                f"{place.where}.{name}".lstrip("."), "The function, or an argument of it, is not one for rows."
            )


def _is_harmless(function: Any, arguments: Any) -> bool:
    if not isinstance(arguments, dict):
        return False
    if function is None or isinstance(function, np.ufunc | partial):
        return not arguments
    name, module = getattr(function, "__name__", ""), getattr(function, "__module__", "") or ""
    if name in KEPT:
        return not arguments
    if module == PAIRWISE:
        return "n_jobs" not in arguments
    reduces = module.split(".")[0] == "numpy"
    return reduces and arguments.get("axis") == 1 and arguments.keys() <= REDUCTION_KEYS
