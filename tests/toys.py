"""Estimators that misbehave on certain rows; a model host imports this module when it reads their pickles."""

import os
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

CRASH, HANG, EAT = 666.0, 777.0, 888.0
LARGE = 1 << 30


class Moody(BaseEstimator):
    """Gives back the first number of each row, unless that is one of the three above."""

    n_features_in_ = 1

    def __init__(self, fill: int = 0) -> None:
        self.fill = fill

    def fit(self, _rows: Any, _targets: Any = None) -> "Moody":
        self.filling_ = np.ones(self.fill, dtype=np.uint8)
        self.fitted_ = True
        return self

    def predict(self, rows: Any) -> Any:
        first = rows[0, 0]
        if first == CRASH:
            os.abort()
        while first == HANG:
            pass
        if first == EAT:
            return np.ones(LARGE, dtype=np.uint8)[: len(rows)].astype(float)
        return rows[:, 0]


class Random(BaseEstimator):
    """Draws a number for each row, from where estimators draw that were given no random state."""

    n_features_in_ = 1
    fitted_ = True

    def predict(self, rows: Any) -> Any:
        return np.random.mtrand._rand.random_sample(len(rows))


#: What a classifier of one number with the classes "no" and "yes" answers: method -> an answer for so many rows.
SENSIBLE: dict[str, Any] = {
    "predict": lambda rows: np.full(rows, "yes"),
    "predict_proba": lambda rows: np.full((rows, 2), [0.25, 0.75]),
    "predict_log_proba": lambda rows: np.log(np.full((rows, 2), [0.25, 0.75])),
    "decision_function": lambda rows: np.full(rows, 48.3),
}
#: The same, each with one thing that does not make sense.
ODD: dict[str, dict[str, Any]] = {
    "": {},
    "counts": {"predict_proba": lambda rows: np.full((rows, 2), [1.7, 48.3])},
    "negative": {"predict_proba": lambda rows: np.full((rows, 2), [-0.5, 1.5])},
    "sums": {"predict_proba": lambda rows: np.full((rows, 2), [0.5, 0.03])},
    "columns": {"predict_proba": lambda rows: np.full((rows, 3), [0.25, 0.25, 0.5])},
    "one column": {"predict_proba": lambda rows: np.full(rows, 0.75)},
    "texts": {"predict_proba": lambda rows: np.full((rows, 2), ["0.25", "0.75"])},
    "logarithms": {"predict_log_proba": lambda rows: np.full((rows, 2), [0.25, 0.75])},
    "label": {"predict": lambda rows: np.full(rows, "perhaps")},
    "label's kind": {"predict": lambda rows: np.full(rows, 1)},
    "one entry": {"predict": lambda _rows: np.array(["yes"])},
    "no rows": {"decision_function": lambda _rows: np.float64(48.3)},
    "kind": {"decision_function": lambda rows: np.full(rows, 1j)},
    "records": {"decision_function": lambda rows: np.array([{}] * rows, dtype=object)},
    "raises": {"predict_proba": lambda _rows: 1 // 0},
}


class Odd(ClassifierMixin, BaseEstimator):
    """A classifier of one number, of which one answer does not make sense for rows from a number on."""

    def __init__(self, how: str = "", beyond: float = -np.inf) -> None:
        self.how = how
        self.beyond = beyond

    def fit(self, _rows: Any, _targets: Any = None) -> "Odd":
        self.classes_ = np.array(["no", "yes"])
        self.n_features_in_ = 1
        self.fitted_ = True
        return self

    def _answer(self, method: str, rows: Any) -> Any:
        odd = ODD[self.how] if np.max(rows) >= self.beyond else {}
        return (SENSIBLE | odd)[method](len(rows))

    def predict(self, rows: Any) -> Any:
        return self._answer("predict", rows)

    def predict_proba(self, rows: Any) -> Any:
        return self._answer("predict_proba", rows)

    def predict_log_proba(self, rows: Any) -> Any:
        return self._answer("predict_log_proba", rows)

    def decision_function(self, rows: Any) -> Any:
        return self._answer("decision_function", rows)
