"""Which methods a fitted estimator answers to, from a closed list."""

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from model_store.described import SelfDescribed
from model_store.errors import NotAPredictor

#: Everything a request may ask for; a client's word is compared with this list and never looked up.
METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "transform",
)


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
    return tuple(name for name in METHODS if _has(estimator, name))


def _has(estimator: Any, name: str) -> bool:
    try:
        return callable(getattr(estimator, name, None))
    except Exception:  # noqa: BLE001 - available_if may raise whatever a damaged estimator makes it raise
        return False
