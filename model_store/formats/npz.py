"""The npz format: a linear model as plain arrays in a numpy archive, for those who need no estimator.

    coef        (features,) or (outputs, features), float
    intercept   (outputs,) or a single number; 0 if it is not there
    mean, scale (features,): rows become (row - mean) / scale first
    classes     (classes,): numbers or text; makes it a classifier
    link        text: "identity", "logit" (two classes, one output) or "softmax" (an output for each class)

`save` writes such a file, and `from_estimator` takes the arrays from a fitted linear estimator or pipeline.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.described import SelfDescribed
from model_store.errors import NotAPredictor, Unreadable
from model_store.estimators.outputs import scalars, type_of
from model_store.formats import archive
from model_store.formats.archive import Archive
from model_store.formats.rules import Audit, Found, Rule, unreadable
from model_store.naming import positional
from model_store.safety import Policy
from model_store.schema import Column, Output, Schema

ENTRY_NAME = re.compile(r"(coef|intercept|mean|scale|classes|link)\.npy")
LINKS = ("identity", "logit", "softmax")
MAX_WIDTH = 100_000
Arrays = dict[str, NDArray[Any]]


class LinearModel(SelfDescribed):
    """A linear regression: rows x coefficients + intercept.

    Args:
        arrays: that have passed the rules of this module.
    """

    def __init__(self, arrays: Arrays) -> None:
        self.coef = np.atleast_2d(arrays["coef"]).astype(np.float64)
        outputs, width = self.coef.shape
        self.intercept = np.broadcast_to(arrays.get("intercept", np.zeros(1)), (outputs,)).astype(np.float64)
        self.mean = arrays.get("mean", np.zeros(width)).astype(np.float64)
        self.scale = arrays.get("scale", np.ones(width)).astype(np.float64)

    @property
    def title(self) -> str:
        """See `SelfDescribed`."""
        return type(self).__name__

    @property
    def schema(self) -> Schema:
        """See `SelfDescribed`."""
        outputs, width = self.coef.shape
        samples = [float(f"{value:.3g}") for value in self.mean]
        names = positional(width)
        inputs = tuple(
            Column(name=name, type="number", sample=sample) for name, sample in zip(names, samples, strict=True)
        )
        several = tuple(Output(name=f"y{index}", type="number") for index in range(outputs))
        return Schema(
            inputs=inputs, outputs=several if outputs > 1 else (Output(name="prediction", type="number"),)
        )

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        """One number for each row, or one row of numbers."""
        values = self._scores(rows)
        return values[:, 0] if values.shape[1] == 1 else values

    def _scores(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        scaled = (np.asarray(rows, dtype=np.float64) - self.mean) / self.scale
        scores: NDArray[np.float64] = scaled @ self.coef.T + self.intercept
        return scores


class LinearClassifier(LinearModel):
    """A linear classifier, with probabilities by its link."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__(arrays)
        self.classes = arrays["classes"]

    @property
    def schema(self) -> Schema:
        """See `SelfDescribed`."""
        described = super().schema
        output = Output(name="prediction", type=type_of(self.classes))
        return Schema(inputs=described.inputs, outputs=(output,), classes=tuple(scalars(self.classes)))

    def decision_function(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The scores before the link."""
        scores = self._scores(rows)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The class with the highest score."""
        scores = self._scores(rows)
        chosen = (scores[:, 0] > 0).astype(int) if scores.shape[1] == 1 else scores.argmax(axis=1)
        labels: NDArray[Any] = self.classes[chosen]
        return labels


class LogitClassifier(LinearClassifier):
    """Two classes and one score."""

    def predict_proba(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """The probability of each class: the logistic function of the score."""
        from scipy.special import expit

        positive = expit(self._scores(rows)[:, 0])
        return np.column_stack([1.0 - positive, positive])


class SoftmaxClassifier(LinearClassifier):
    """One score for each class."""

    def predict_proba(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """The probability of each class: the softmax of the scores."""
        from scipy.special import softmax

        probabilities: NDArray[np.float64] = softmax(self._scores(rows), axis=1)
        return probabilities


def load(path: Path, _policy: Policy, audit: Audit) -> LinearModel:
    """The model in an npz file.

    Raises:
        Unreadable, Unsafe, NotAPredictor: by the rule that refuses.
    """
    try:
        with zipfile.ZipFile(path) as file:
            subject = Archive(file, path.stat().st_size, ENTRY_NAME)
            audit.apply(archive.ARRAY_RULES, subject)
            arrays = {name.removesuffix(".npy"): _read(file, name) for name in subject.names_of_entries()}
    except archive.DAMAGE as error:
        raise audit.refuse("archive-is-whole", "The zip archive is damaged or cut off.", Unreadable) from error
    audit.apply(RULES, arrays)
    return _model(arrays)


def save(path: Path, coef: Any, **arrays: Any) -> None:
    """Write a linear model; see the top of this module for the arrays.

    Raises:
        Refused: the arrays do not make a model that would be taken.
    """
    given = {"coef": np.asarray(coef, dtype=np.float64)}
    given |= {name: np.asarray(value) for name, value in arrays.items() if value is not None}
    Audit().apply(RULES, given)
    with path.open("wb") as file:  # given a path, numpy would add an ending to it
        np.savez(file, **given)  # type: ignore[arg-type]


def from_estimator(path: Path, estimator: Any) -> None:
    """Write the arrays of a fitted linear estimator, alone or behind a StandardScaler.

    Raises:
        NotAPredictor: it is something else, or keeps no coefficients.
    """
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    scaler = steps[0] if len(steps) == 2 else None  # noqa: PLR2004
    coef = getattr(steps[-1], "coef_", None)
    if coef is None or len(steps) > 2 or (scaler is not None and type(scaler).__name__ != "StandardScaler"):  # noqa: PLR2004
        raise NotAPredictor(
            "Only a fitted linear estimator, alone or behind a StandardScaler, can be saved as npz."
        )
    classes = getattr(steps[-1], "classes_", None)
    save(
        path, coef, intercept=steps[-1].intercept_, link=_link(steps[-1]),
        classes=None if classes is None else np.array(classes.tolist()),
        mean=getattr(scaler, "mean_", None), scale=getattr(scaler, "scale_", None),
    )  # fmt: skip


def there_are_coefficients(arrays: Arrays) -> Iterator[Found]:
    """A linear model is its coefficients."""
    coef = arrays.get("coef")
    if coef is None or coef.dtype.kind not in "iuf" or coef.ndim not in (1, 2) or not coef.size:
        yield Found("coef", "There is no array 'coef' of numbers with one or two dimensions.")
    elif max(coef.shape) > MAX_WIDTH:
        yield Found("coef", f"There are more than {MAX_WIDTH} columns or outputs.")


def arrays_fit_the_coefficients(arrays: Arrays) -> Iterator[Found]:
    """Each further array belongs to the features or to the outputs."""
    outputs, width = np.atleast_2d(arrays["coef"]).shape
    wanted = {"mean": [(width,)], "scale": [(width,)], "intercept": [(), (1,), (outputs,)]}
    for name, shapes in wanted.items():
        values = arrays.get(name)
        if values is not None and (values.dtype.kind not in "iuf" or values.shape not in shapes):
            yield Found(name, "The array does not fit the coefficients.")


def the_link_fits_the_classes(arrays: Arrays) -> Iterator[Found]:
    """Probabilities need classes, and a score for each of them or one for two."""
    outputs, link = len(np.atleast_2d(arrays["coef"])), _text(arrays.get("link"))
    if link not in LINKS:
        yield Found("link", f"The link is not one of: {', '.join(LINKS)}.")
    classes = arrays.get("classes")
    if classes is None:
        if link != "identity":
            yield Found("link", "A link other than identity needs 'classes'.")
        return
    if classes.ndim != 1 or len(np.unique(classes)) != len(classes) or classes.dtype.kind not in "biufU":
        yield Found("classes", "The classes are not a list of different numbers or texts.")
    needed = {"logit": [(1, 2)], "softmax": [(len(classes), len(classes))]}
    either = needed.get(link, [(1, 2), (len(classes), len(classes))])
    if (outputs, len(classes)) not in either:
        yield Found("classes", "The classes do not fit the outputs.")


RULES = (
    Rule(there_are_coefficients, NotAPredictor),
    unreadable(arrays_fit_the_coefficients),
    unreadable(the_link_fits_the_classes),
)


def _read(file: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with file.open(name) as entry:
        array: NDArray[Any] = np.lib.format.read_array(entry, allow_pickle=False)
        return array


def _model(arrays: Arrays) -> LinearModel:
    if "classes" not in arrays:
        return LinearModel(arrays)
    kinds = {"identity": LinearClassifier, "logit": LogitClassifier, "softmax": SoftmaxClassifier}
    return kinds[_text(arrays.get("link"))](arrays)


def _text(link: NDArray[Any] | None) -> str:
    if link is None:
        return "identity"
    return str(link) if link.dtype.kind == "U" and link.ndim == 0 else ""


def _link(estimator: Any) -> str:
    """The link of an estimator that gives probabilities by one of ours; else the scores stay as they are."""
    if type(estimator).__name__ not in ("LogisticRegression", "LogisticRegressionCV"):
        return "identity"
    if len(estimator.classes_) == 2:  # noqa: PLR2004
        return "logit"
    return "identity" if estimator.solver == "liblinear" else "softmax"
