"""Whether a fitted estimator answers each row by itself, so that rows of several requests can be joined."""

from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
from sklearn.decomposition import NMF, LatentDirichletAllocation, MiniBatchNMF
from sklearn.neural_network import BernoulliRBM
from sklearn.preprocessing import FunctionTransformer

from model_store.formats.skops.values.walk import Place, walk

#: What computes until all rows together are good enough, or draws numbers for each row in turn.
TOGETHER = (NMF, MiniBatchNMF, LatentDirichletAllocation, BernoulliRBM)
#: Libraries whose estimators, apart from these, are known to go row by row.
KNOWN = frozenset({"sklearn", "numpy", "scipy", "pandas", "builtins"})
FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType)


def answers_row_by_row(estimator: Any) -> bool:
    """Whether an answer for a row does not depend on the rows beside it, but for its last bits."""
    return all(_goes_row_by_row(place) for place in walk(estimator))


def _goes_row_by_row(place: Place) -> bool:
    value = place.value
    if isinstance(value, TOGETHER) or _root(type(value)) not in KNOWN:
        return False
    if isinstance(value, FunctionTransformer):
        return _is_row_function(value.func, value.kw_args or {})
    if type(value).__name__ == "IterativeImputer":  # importing it switches an experiment on
        return not value.sample_posterior
    return all(_root(part) in KNOWN for part in _parts(value) if isinstance(part, FUNCTIONS))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else getattr(value, "__dict__", {}).values()


def _is_row_function(function: Any, arguments: dict[str, Any]) -> bool:
    """Whether it is one of numpy's that works on each number, or along the columns of each row."""
    if function is None or isinstance(function, np.ufunc):
        return not arguments
    return _root(function) == "numpy" and arguments.get("axis") == 1


def _root(thing: Any) -> str:
    return (getattr(thing, "__module__", "") or "").partition(".")[0]
