"""Which methods a fitted estimator answers to, from a closed list, and what is called for each."""

import inspect
from collections.abc import Callable
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from model_store.described import SelfDescribed
from model_store.errors import NotAPredictor
from model_store.methods import METHODS

#: What is called with the rows: an array, a DataFrame or a list of texts.
Function = Callable[[Any], Any]


def check_answers(estimator: Any) -> None:
    """Raises NotAPredictor unless this is a fitted estimator with one of METHODS."""
    if isinstance(estimator, SelfDescribed):
        return
    if isinstance(estimator, type) or not isinstance(estimator, BaseEstimator):
        raise NotAPredictor("The file does not hold a scikit-learn estimator.")
    if not methods_of(estimator):
        raise NotAPredictor(
            f"{type(estimator).__name__} has neither predict nor transform, so it cannot answer for new rows. "
            "Upload the fitted estimator, or the whole pipeline that ends with one."
        )
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise NotAPredictor("The estimator is not fitted. Call fit before you save it.") from None


def methods_of(estimator: Any) -> tuple[str, ...]:
    """The methods of METHODS that this estimator has."""
    return tuple(name for name in METHODS if function_of(estimator, name) is not None)


def function_of(estimator: Any, name: str) -> Function | None:
    """What answers to one of METHODS, None if the estimator has nothing for it.

    `kneighbors` gives the distances of the neighbours, and their indices in the rows that it was fitted on;
    `predict_std` gives the standard deviation of `predict`, where `predict` takes `return_std`.
    """
    try:
        return SPECIAL[name](estimator) if name in SPECIAL else _callable(estimator, name)
    except Exception:  # noqa: BLE001 - available_if may raise whatever a damaged estimator makes it raise
        return None


def _callable(estimator: Any, name: str) -> Function | None:
    function = getattr(estimator, name, None)
    return function if callable(function) else None


def _kneighbors(estimator: Any) -> Function | None:
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        head, inner = estimator[:-1], _kneighbors(estimator.steps[-1][1])
        return None if inner is None else lambda rows: inner(head.transform(rows))
    function = _callable(estimator, "kneighbors")
    return None if function is None else lambda rows: list(function(rows))


def _std(estimator: Any) -> Function | None:
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(last, BaseEstimator) or not hasattr(last, "predict"):
        return None
    if "return_std" not in inspect.signature(last.predict).parameters:
        return None
    return lambda rows: estimator.predict(rows, return_std=True)[1]


SPECIAL: dict[str, Callable[[Any], Function | None]] = {"kneighbors": _kneighbors, "predict_std": _std}
