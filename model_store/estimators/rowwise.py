"""Whether a fitted estimator answers each row by itself, so that rows of several requests can be joined."""

from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import NMF, LatentDirichletAllocation, MiniBatchNMF
from sklearn.dummy import DummyClassifier
from sklearn.neural_network import BernoulliRBM
from sklearn.preprocessing import FunctionTransformer

from model_store.described import SelfDescribed
from model_store.formats.skops.values.walk import Place, walk

#: What computes until all rows together are good enough, or draws numbers for each row in turn.
TOGETHER = (NMF, MiniBatchNMF, LatentDirichletAllocation, BernoulliRBM)
#: Strategies that draw numbers in each call.
DRAWN = ("stratified", "uniform")
#: Functions of numpy that make one number, or as many as before, of each row.
ALONG_ROWS = frozenset({
    "sum", "mean", "min", "max", "amin", "amax", "median", "std", "var", "prod", "cumsum", "cumprod", "sort",
})  # fmt: skip
#: Libraries whose estimators, apart from these, are known to go row by row.
KNOWN = frozenset({"sklearn", "numpy", "scipy", "pandas", "builtins"})
FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType)


def answers_row_by_row(estimator: Any) -> bool:
    """Whether an answer for a row does not depend on the rows beside it, but for its last bits."""
    if isinstance(estimator, SelfDescribed):
        return estimator.row_by_row
    return all(_goes_row_by_row(place) for place in walk(estimator))


def _goes_row_by_row(place: Place) -> bool:
    value = place.value
    if isinstance(value, TOGETHER) or _root(type(value)) not in KNOWN:
        return False
    if type(value).__name__ == "IterativeImputer":  # which scikit-learn does not let us import without ado
        return False  # alone, a row in which all is missing is not iterated
    if isinstance(value, DummyClassifier):
        return value.strategy not in DRAWN
    if isinstance(value, FunctionTransformer | TransformedTargetRegressor):
        return _has_row_functions(value)
    return all(_root(part) in KNOWN for part in _parts(value) if isinstance(part, FUNCTIONS))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else getattr(value, "__dict__", {}).values()


def _has_row_functions(value: Any) -> bool:
    return all(
        _is_row_function(getattr(value, name), getattr(value, arguments, None) or {})
        for name, arguments in (("func", "kw_args"), ("inverse_func", "inv_kw_args"))
    )


def _is_row_function(function: Any, arguments: dict[str, Any]) -> bool:
    """Whether it is one of numpy's that works on each number, or along the columns of each row."""
    if function is None or isinstance(function, np.ufunc):
        return not arguments
    known = _root(function) == "numpy" and getattr(function, "__name__", "") in ALONG_ROWS
    return known and arguments.get("axis") == 1


def _root(thing: Any) -> str:
    return (getattr(thing, "__module__", "") or "").partition(".")[0]
