"""The models that are served, and the rows that are sent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

#: Rows of one request.
SIZES = (1, 100, 1000)
WORDS = ["win", "money", "now", "cheap", "lunch", "meeting", "noon", "see", "you", "offer", "report", "friday"]


@dataclass(frozen=True)
class Subject:
    """A model and rows for it.

    Attributes:
        fit: gives the fitted estimator.
        rows: gives that many rows, as lists of numbers or as texts.
        sizes: rows of one request that are measured.
    """

    name: str
    title: str
    fit: Callable[[], Any]
    rows: Callable[[int], list[Any]]
    sizes: tuple[int, ...] = (1,)


def _iris() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(*load_iris(return_X_y=True))


def _forest() -> Any:
    return RandomForestClassifier(100, random_state=0).fit(*load_iris(return_X_y=True))


def _boosting() -> Any:
    return HistGradientBoostingClassifier(max_iter=100, random_state=0).fit(*load_breast_cancer(return_X_y=True))


def _machine() -> Any:
    return make_pipeline(StandardScaler(), SVC()).fit(*load_iris(return_X_y=True))


def _wide() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(
        *load_breast_cancer(return_X_y=True)
    )


def _text() -> Any:
    texts = _texts(200)
    labels = ["spam" if "money" in text or "win" in text else "ham" for text in texts]
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, labels)


def _texts(count: int) -> list[str]:
    random = np.random.default_rng(0)
    return [" ".join(random.choice(WORDS, 8)) for _ in range(count)]


def _rows_of(table: Any, count: int) -> list[Any]:
    chosen = np.random.default_rng(1).integers(len(table), size=count)
    return [row.tolist() for row in table[chosen]]


def _flowers(count: int) -> list[Any]:
    return _rows_of(load_iris().data, count)


def _tumours(count: int) -> list[Any]:
    return _rows_of(load_breast_cancer().data, count)


SUBJECTS = (
    Subject("iris", "iris pipeline", _iris, _flowers),
    Subject("forest", "forest of 100 trees", _forest, _flowers),
    Subject("boosting", "histogram boosting", _boosting, _tumours),
    Subject("svm", "support vector machine", _machine, _flowers),
    Subject("text", "text pipeline", _text, _texts),
    Subject("wide", "30 columns", _wide, _tumours, SIZES),
)
