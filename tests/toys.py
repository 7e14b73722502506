"""Estimators that misbehave on certain rows; a model host imports this module when it reads their pickles."""

import os
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

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
