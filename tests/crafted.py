"""Crafted uploads by their rows in the tables of bad inputs (F, M): how each is made, and what it gets."""

import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from typing import Any

import models
import numpy as np
import skops.io
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

X, Y = load_iris(return_X_y=True)
UNSAFE, UNREADABLE = (422, "unsafe-artifact"), (422, "unreadable-artifact")
Schema = dict[str, Any]


@cache
def line() -> bytes:
    return models.skops_bytes(models.line())


def node(loader: str, type_: str, **members: Any) -> Schema:
    module, _, name = type_.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": name, "__id__": id(members), **members}


def holding(extra: Schema) -> bytes:
    """A good model with one more attribute."""

    def edit(schema: Schema) -> None:
        attributes = schema["content"]
        attributes["content"]["extra"] = extra
        attributes["key_types"]["content"].append(node("TypeNode", "builtins.str"))

    return models.edited(line(), edit)


def vectorizer(**settings: Any) -> bytes:
    texts = ["win money now", "see you at lunch", "the meeting is at noon", "cheap money"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [0, 1, 1, 0])
    for name, value in settings.items():
        setattr(model[0], name, value)
    return skops.io.dumps(model)


def tree(field: str, value: int) -> bytes:
    model = DecisionTreeClassifier(random_state=0).fit(X, Y)
    state = model.tree_.__getstate__()
    state["nodes"] = np.array(state["nodes"])
    state["nodes"][field][0] = value
    changed = Tree(model.tree_.n_features, np.array(model.tree_.n_classes, dtype=np.intp), 1)
    changed.__setstate__(state)
    model.tree_ = changed
    return skops.io.dumps(model)


def doctored(family: Any, change: Callable[[Any], Any]) -> bytes:
    model = family.fit(X, Y)
    change(model)
    return skops.io.dumps(model)


def rezipped(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, before: bytes = b"") -> bytes:
    """A good model in another archive, with more entries."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(line())) as source, zipfile.ZipFile(target, "w", method) as out:
        for name in source.namelist():
            out.writestr(name, source.read(name))
        for name, content in entries.items():
            out.writestr(name, content)
    return before + target.getvalue()


def twice() -> bytes:
    """Two entries of one name."""
    target = io.BytesIO(line())
    with warnings.catch_warnings(), zipfile.ZipFile(target, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("schema.json", "{}")
    return target.getvalue()


def linked() -> bytes:
    """An entry that is a symbolic link to a file of the system."""
    target = io.BytesIO(line())
    with zipfile.ZipFile(target, "a") as archive:
        entry = zipfile.ZipInfo("77.npy")
        entry.create_system, entry.external_attr = 3, 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return target.getvalue()


def patched(offset: int, value: bytes) -> bytes:
    """Other bytes in the last entry of the central directory, at an offset from its signature (APPNOTE 4.3.12)."""
    data = bytearray(line())
    start = data.rindex(b"PK\x01\x02") + offset
    data[start : start + len(value)] = value
    return bytes(data)


def damaged() -> bytes:
    """A bit that turned over in an array, which its checksum tells."""
    data = bytearray(line())
    data[data.index(b"\x93NUMPY") + 130] ^= 0xFF
    return bytes(data)


def doubling(levels: int) -> bytes:
    inner = node("ListNode", "builtins.list", content=[]) | {"__id__": 999}
    for level in range(levels):
        stub = {key: value for key, value in inner.items() if key != "content"} | {"content": []}
        inner = node("ListNode", "builtins.list", content=[inner, stub]) | {"__id__": 1000 + level}
    return holding(inner)


def nested(levels: int) -> bytes:
    head = '{"__id__":1,"__loader__":"ListNode","__module__":"builtins","__class__":"list","content":['
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", '{"protocol":2,' + head[1:] + head * levels + "]}" * (levels + 1))
    return target.getvalue()


def shared_array() -> bytes:
    def edit(schema: Schema) -> None:
        attributes = schema["content"]["content"]
        for index in range(300):
            attributes[f"extra{index}"] = attributes["coef_"] | {"__id__": index + 1}

    return models.edited(line(), edit)


def lying_array(header: str) -> bytes:
    """A good model whose first array has another header."""
    target = io.BytesIO()
    changed = False
    with zipfile.ZipFile(io.BytesIO(line())) as source, zipfile.ZipFile(target, "w") as out:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith(".npy") and not changed:
                text = header.encode() + b"\n"
                content, changed = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text, True
            out.writestr(name, content)
    return target.getvalue()


def sparse_coefficients(change: Callable[[Any], Any]) -> bytes:
    model = LogisticRegression(C=0.1, max_iter=500).fit(X, Y).sparsify()
    change(model.coef_)
    return skops.io.dumps(model)


def mislabelled() -> bytes:
    """A sparse matrix whose archive holds another kind than its label says, with coordinates out of range."""
    data = io.BytesIO()
    sparse.save_npz(data, sparse.coo_matrix(np.eye(3)))
    stored = node("SparseMatrixNode", "scipy.sparse._csr.csr_matrix", type="scipy", file="77.npz")
    target = io.BytesIO(holding(stored))
    with zipfile.ZipFile(io.BytesIO(data.getvalue())) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    entries["row.npy"] = _npy(np.array([0, 1, 5000], dtype=np.int32))
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as out:
        for name, content in entries.items():
            out.writestr(name, content)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("77.npz", inner.getvalue())
    return target.getvalue()


def _npy(array: Any) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def renamed(type_: str) -> bytes:
    def edit(schema: Schema) -> None:
        schema["__module__"], _, schema["__class__"] = type_.rpartition(".")

    return models.edited(line(), edit)


def with_width(width: Any) -> bytes:
    def edit(schema: Schema) -> None:
        schema["content"]["content"]["n_features_in_"] = node(
            "JsonNode", "builtins.int", content=json.dumps(width), is_json=True
        )

    return models.edited(line(), edit)


def tangled(model: Any) -> None:
    model._predictors[0][0].nodes["left"][0] = 0


def misordered(model: Any) -> None:
    state = list(model._tree.__getstate__())
    state[1] = np.full_like(np.asarray(state[1]), 10**9)
    model._tree.__setstate__(tuple(state))


#: Row -> how the file is made, and the status and type that it gets.
REFUSED: dict[str, tuple[Callable[[], bytes], tuple[int, str]]] = {
    "F2 a pickle in the archive": (lambda: rezipped({"model.pkl": b"cos\nsystem\n"}), UNSAFE),
    "F3 noise": (lambda: b"\x01" + os.urandom(1 << 20), UNREADABLE),
    "F3 cut off": (lambda: line()[:-60], UNREADABLE),
    "F4 upwards": (lambda: rezipped({"../x": b""}), UNSAFE),
    "F4 absolute": (lambda: rezipped({"/etc/x": b""}), UNSAFE),
    "F4 a drive": (lambda: rezipped({"C:\\x": b""}), UNSAFE),
    "F4 a device": (lambda: rezipped({"NUL": b""}), UNSAFE),
    "F4 bzip2": (lambda: rezipped({"7.npy": b"x"}, zipfile.ZIP_BZIP2), UNSAFE),
    "F4 a link": (linked, UNSAFE),
    "F4 one name twice": (twice, UNSAFE),
    "F4 encrypted": (lambda: patched(8, b"\x01\x00"), UNSAFE),
    "F4 a size that lies": (lambda: patched(24, b"\xff\xff\xff\x7f"), UNSAFE),
    "F4 overlapping": (lambda: patched(42, b"\x01\x00\x00\x00"), UNSAFE),
    "F4 a wrong checksum": (damaged, UNREADABLE),
    "F4 data before": (lambda: rezipped({}, before=b"MZ" * 50), UNREADABLE),
    "F5 another protocol": (lambda: models.edited(line(), lambda schema: schema.update(protocol=99)), UNREADABLE),
    "F5 a list": (lambda: models.edited(line(), lambda _: []), UNREADABLE),
    "F6 M5 a bomb": (lambda: rezipped({"7.npy": bytes(200 << 20)}), UNSAFE),
    "F6 M4 one array, 300 names": (shared_array, UNSAFE),
    "F7 M3 doubling 24 times": (lambda: doubling(24), UNSAFE),
    "F7 M3 doubling 60 times": (lambda: doubling(60), UNSAFE),
    "F8 M10 5,000 levels": (lambda: nested(5_000), UNSAFE),
    "F8 M10 200,000 levels": (lambda: nested(200_000), UNSAFE),
    "F9 os.system": (lambda: renamed("os.system"), UNSAFE),
    "F9 a module that is not imported": (lambda: renamed("antigravity.Foo"), UNSAFE),
    "F10 an operator": (lambda: holding(node("OperatorFuncNode", "operator.methodcaller")), UNSAFE),
    "F10 a method": (lambda: holding(node("MethodNode", "builtins.str")), UNSAFE),
    "F11 M1 file names": (lambda: vectorizer(input="filename"), UNSAFE),
    "F11 M1 files": (lambda: vectorizer(input="file"), UNSAFE),
    "F12 M2 a pattern": (lambda: vectorizer(token_pattern=r"(a+)+$"), UNSAFE),
    "F12 n-grams": (lambda: vectorizer(ngram_range=(1, 10**9)), UNSAFE),
    "F14 M13 a child out of range": (lambda: tree("left_child", 10_000), UNSAFE),
    "F14 M13 a loop": (lambda: tree("left_child", 0), UNSAFE),
    "F14 M13 a feature out of range": (lambda: tree("feature", 400), UNSAFE),
    "F14 M13 a histogram tree": (lambda: doctored(HistGradientBoostingClassifier(max_iter=2), tangled), UNSAFE),
    "F15 M7 counts of support": (
        lambda: doctored(
            SVC(), lambda model: setattr(model, "_n_support", np.array([1000, 2, 3], dtype=np.int32))
        ),
        UNSAFE,
    ),
    "F16 M6 indices": (lambda: sparse_coefficients(lambda coef: coef.indices.__setitem__(0, 10_000)), UNSAFE),
    "F16 M6 another label": (mislabelled, UNREADABLE),
    "F17 M9 10^13 rows": (
        lambda: lying_array("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,)}"),
        UNSAFE,
    ),
    "F17 objects": (lambda: lying_array("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), UNSAFE),
    "F17 a long header": (lambda: lying_array("{'descr': '<f8'}" + " " * 30_000), UNSAFE),
    "F19 never fitted": (lambda: skops.io.dumps(LogisticRegression()), (422, "not-a-predictor")),
    "F22 a billion columns": (lambda: with_width(10**9), UNSAFE),
}
#: Row -> how the file is made, and the rule that says what was changed or is worth knowing.
ACCEPTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "F13 M8 threads": (
        lambda: doctored(KNeighborsClassifier(algorithm="brute", n_jobs=200), lambda model: None),
        "one-thread-only",
    ),
    "F14 M13 a search tree": (
        lambda: doctored(KNeighborsClassifier(algorithm="kd_tree"), misordered),
        "nearest-neighbour-trees-are-built-anew",
    ),
    "F18 M11 no number": (
        lambda: doctored(
            LogisticRegression(C=0.1, max_iter=500), lambda model: model.coef_.__setitem__((0, 0), np.nan)
        ),
        "coefficients-are-numbers",
    ),
    "F21 M12 pandas": (
        lambda: doctored(SVC(), lambda model: setattr(model, "_sklearn_output_config", {"transform": "pandas"})),
        "outputs-are-arrays",
    ),
}
