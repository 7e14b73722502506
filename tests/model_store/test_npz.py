"""Linear models as plain arrays."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import UNSET
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from model_store.errors import NotAPredictor, Refused, Unreadable, Unsafe
from model_store.estimators.facts import inspect
from model_store.estimators.loaded import Loaded
from model_store.formats import load, npz

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
ESTIMATORS = [
    make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y),
    make_pipeline(StandardScaler(), LogisticRegression()).fit(X, NAMES),
    LogisticRegression(C=0.1, max_iter=500).fit(X, Y == 1),
    make_pipeline(StandardScaler(), RidgeClassifier()).fit(X, Y),
    Ridge().fit(*load_diabetes(return_X_y=True)),
    make_pipeline(StandardScaler(), LinearRegression()).fit(X, np.column_stack([Y, X[:, 0]])),
]


def archive(**arrays: Any) -> bytes:
    target = io.BytesIO()
    np.savez(target, **arrays)
    return target.getvalue()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_the_arrays_of_an_estimator_answer_as_it_does(estimator: Any, folder: Path) -> None:
    path = folder / "model.npz"
    npz.from_estimator(path, estimator)
    facts = inspect(path).facts
    rows = X if estimator.n_features_in_ == 4 else load_diabetes(return_X_y=True)[0]
    loaded = Loaded(load("npz", path))
    assert facts.format == "npz"
    for method in facts.methods:
        answer, expected = loaded.call([method], rows, [])[0], getattr(estimator, method)(rows)
        if answer.dtype.kind == "f":
            np.testing.assert_allclose(answer, expected, rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_array_equal(answer, expected)


def test_the_schema_says_what_the_arrays_say(folder: Path) -> None:
    path = folder / "model.npz"
    npz.save(path, [[1.0, 2.0]], mean=[3.0, 4.0], classes=["no", "yes"], link="logit")
    facts = inspect(path).facts
    assert (facts.estimator, facts.methods) == (
        "LogitClassifier",
        ("predict", "predict_proba", "decision_function"),
    )
    assert facts.schema.classes == ("no", "yes")
    assert [(column.name, column.sample) for column in facts.schema.inputs] == [("x0", 3.0), ("x1", 4.0)]


def test_coefficients_alone_are_a_regression(folder: Path) -> None:
    path = folder / "model.npz"
    npz.save(path, [2.0, 3.0], intercept=1.0)
    assert inspect(path).facts.schema.classes is UNSET
    assert Loaded(load("npz", path)).call(["predict"], np.array([[1.0, 1.0]]), [])[0].tolist() == [6.0]


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ({"coef": np.array(["a"])}, NotAPredictor),
        ({"coef": np.zeros((2, 2, 2))}, NotAPredictor),
        ({"coef": np.zeros((1, 0))}, NotAPredictor),
        ({"coef": np.zeros(100_001)}, NotAPredictor),
        ({"coef": np.zeros(3), "mean": np.zeros(2)}, Unreadable),
        ({"coef": np.zeros(3), "scale": np.array(["a", "b", "c"])}, Unreadable),
        ({"coef": np.zeros((2, 3)), "intercept": np.zeros(3)}, Unreadable),
        ({"coef": np.zeros(3), "link": np.array("probit")}, Unreadable),
        ({"coef": np.zeros(3), "link": np.array(7)}, Unreadable),
        ({"coef": np.zeros(3), "link": np.array("logit")}, Unreadable),
        ({"coef": np.zeros(3), "classes": np.arange(5)}, Unreadable),
        ({"coef": np.zeros((2, 3)), "classes": np.array([1, 1])}, Unreadable),
        ({"coef": np.zeros((2, 3)), "classes": np.arange(2), "link": np.array("logit")}, Unreadable),
        ({"coef": np.zeros(3), "other": np.zeros(3)}, Unsafe),
    ],
)
def test_arrays_that_make_no_model_are_refused(arrays: Any, error: type[Refused], folder: Path) -> None:
    path = folder / "model.npz"
    path.write_bytes(archive(**arrays))
    with pytest.raises(error) as caught:
        inspect(path)
    assert caught.value.report is not None
    assert caught.value.report.verdict == "refused"


def test_arrays_of_objects_are_refused_and_not_unpickled(folder: Path) -> None:
    path = folder / "model.npz"
    path.write_bytes(archive(coef=np.zeros(2), classes=np.array(["a", None], dtype=object)))
    with pytest.raises(Unsafe, match="objects"):
        inspect(path)


def header(shape: str, dtype: str = "<f8", version: bytes = b"\x01\x00", padding: int = 0) -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode() + b" " * padding + b"\n"
    size = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + size + text


@pytest.mark.parametrize(
    "content",
    [
        header("(10000000000000,)"),
        header("(3,)"),
        header("(-1,)"),
        header("(1.5,)"),
        header("3"),
        header("(2,)", "|O"),
        header("(0,)", "<U0"),
        header("(2,)", "nonsense"),
        header("(2,)", padding=20_000),
        header("(2,)", version=b"\x09\x00"),
        b"\x93NUMPY",
        b"PK\x03\x04",
    ],
)
def test_headers_that_lie_are_refused(content: bytes, folder: Path) -> None:
    """Row F17 and M9."""
    path = folder / "model.npz"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("coef.npy", content)
    with pytest.raises(Refused):
        inspect(path)


@pytest.mark.parametrize("dtype", [">f8", "<f4", "<i8", ">i2"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_plain_arrays_of_any_order_are_taken(dtype: str, version: Any, folder: Path) -> None:
    target = io.BytesIO()
    np.lib.format.write_array(target, np.asfortranarray(np.ones((1, 3), dtype=dtype)), version=version)
    path = folder / "model.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("coef.npy", target.getvalue())
    assert len(inspect(path).facts.schema.inputs) == 3


@pytest.mark.parametrize(
    "estimator", [KMeans(2, n_init=1).fit(X), make_pipeline(MinMaxScaler(), LinearRegression()).fit(X, Y)]
)
def test_only_linear_estimators_become_arrays(estimator: Any, folder: Path) -> None:
    with pytest.raises(NotAPredictor):
        npz.from_estimator(folder / "model.npz", estimator)
