"""Several methods of an estimator for the same rows, in one pass where it is a pipeline."""

import copy
from collections.abc import Sequence
from typing import Any

from sklearn.pipeline import Pipeline

from model_store.estimators.methods import Function, function_of
from model_store.methods import METHODS


class Passes:
    """The methods of a fitted estimator.

    Args:
        estimator: of scikit-learn, or one that describes itself.
    """

    def __init__(self, estimator: Any) -> None:
        self._whole = {name: function_of(estimator, name) for name in METHODS}
        self._head, last = _parted(estimator)
        self._last = {name: function_of(last, name) for name in METHODS}

    def call(self, methods: Sequence[str], rows: Any) -> list[Any]:
        """One result for each of the methods. Raises ValueError if the estimator has not got one."""
        if len(methods) == 1:
            return [_of(self._whole, methods[0])(rows)]
        functions = self._whole
        if self._head is not None:
            rows, functions = self._head.transform(rows), self._last
        # Transformers with copy=False write into what they are given.
        return [_of(functions, method)(copy.deepcopy(rows)) for method in methods]


def _parted(estimator: Any) -> tuple[Any, Any]:
    """A pipeline as its transformers and its last step, so that rows are transformed once for all methods."""
    if type(estimator) is Pipeline and len(estimator.steps) > 1:
        *_, (_, last) = estimator.steps
        if hasattr(last, "fit"):  # and not a word for "nothing"
            return estimator[:-1], last
    return None, estimator


def _of(functions: dict[str, Function | None], method: str) -> Function:
    function = functions.get(method)
    if function is None:
        raise ValueError("the estimator has no such method")
    return function
