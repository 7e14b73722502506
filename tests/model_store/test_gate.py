"""The gate refuses what is not plain, before anything is constructed."""

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from model_store.errors import NotAPredictor, Refused, Unreadable, Unsafe
from model_store.formats.rules import Audit
from model_store.formats.skops import load
from model_store.formats.skops.gate import clear
from model_store.safety import STRICT


@pytest.fixture
def judge(folder: Path) -> Any:
    def judge_(data: bytes) -> frozenset[str]:
        path = folder / "upload.skops"
        path.write_bytes(data)
        return clear(path, STRICT, Audit())

    return judge_


def json_node(value: Any) -> dict[str, Any]:
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def node(loader: str, type_: str, **members: Any) -> dict[str, Any]:
    module, _, name = type_.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": name, "__id__": id(members), **members}


def holding(extra: dict[str, Any]) -> bytes:
    """A good model with one more attribute."""

    def edit(schema: dict[str, Any]) -> None:
        attributes = schema["content"]
        attributes["content"]["extra"] = extra
        attributes["key_types"]["content"].append(node("TypeNode", "builtins.str"))

    return models.edited(models.skops_bytes(models.line()), edit)


def test_a_good_model_passes_and_loads(folder: Path) -> None:
    path = folder / "good.skops"
    path.write_bytes(models.skops_bytes(models.forest()))
    assert "sklearn.tree._tree.Tree" in clear(path, STRICT, Audit())
    assert load(path).n_estimators == 20


@pytest.mark.parametrize("protocol", [-1, 0, 1, 99, True, "2", None, 2.0])
def test_only_one_protocol_is_read(judge: Any, protocol: Any) -> None:
    data = models.edited(models.skops_bytes(models.line()), lambda schema: schema.update(protocol=protocol))
    with pytest.raises(Unreadable, match="protocol"):
        judge(data)


@pytest.mark.parametrize("schema", [[], "x", 1, {}, {"protocol": 2}, {"protocol": 2, "__loader__": 1}])
def test_a_schema_of_another_form_is_unreadable(judge: Any, schema: Any) -> None:
    with pytest.raises(Refused):
        judge(models.edited(models.skops_bytes(models.line()), lambda _: schema))


@pytest.mark.parametrize(
    "type_", ["os.system", "builtins.eval", "__main__.f", "antigravity.Foo", "sklearn.utils.check_array"]
)
@pytest.mark.parametrize("loader", ["ObjectNode", "FunctionNode", "TypeNode"])
def test_a_type_that_is_not_allowed_is_named_and_not_imported(judge: Any, loader: str, type_: str) -> None:
    with pytest.raises(Unsafe, match=type_):
        judge(holding(node(loader, type_)))
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "loader", ["OperatorFuncNode", "MethodNode", "ConstructorFromReduceNode", "CachedNode", "Nope"]
)
def test_a_loader_that_could_run_code_is_refused(judge: Any, loader: str) -> None:
    with pytest.raises(Unsafe, match="loader"):
        judge(holding(node(loader, "operator.methodcaller", attrs=json_node([]))))


def test_a_partial_of_anything_but_check_array_is_refused(judge: Any) -> None:
    empty = json_node(None)
    parts = {"func": node("FunctionNode", "numpy.mean"), "args": empty, "kwds": empty, "namespace": empty}
    with pytest.raises(Unsafe, match="partial"):
        judge(holding(node("PartialNode", "functools.partial", content=parts)))


def test_categorical_boosting_keeps_its_partial(judge: Any) -> None:
    boosting = HistGradientBoostingClassifier(categorical_features=[0], max_iter=2)
    judge(models.skops_bytes(boosting.fit(np.array([[0.0], [1.0]] * 30), [0, 1] * 30)))


def test_keys_are_made_by_types_only(judge: Any) -> None:
    keys = node("ListNode", "builtins.list", content=[node("FunctionNode", "numpy.mean")])
    with pytest.raises(Unsafe, match="key"):
        judge(holding(node("DictNode", "builtins.dict", key_types=keys, content={"1": json_node(1)})))


def test_a_random_generator_names_a_bit_generator(judge: Any) -> None:
    text = node("TypeNode", "builtins.str")
    keys = node("ListNode", "builtins.list", content=[text])
    state = node("DictNode", "builtins.dict", key_types=keys, content={"bit_generator": json_node("seed")})
    parts = {"bit_generator": state, "seed_seq": state}
    with pytest.raises(Unsafe, match="random generator"):
        judge(holding(node("RandomGeneratorNode", "numpy.random._generator.Generator", content=parts)))


def test_an_id_that_means_two_things_is_refused(judge: Any) -> None:
    """The way to make 24 levels of two references each cost 2**24 steps."""
    tree = json_node(0)
    for level in range(24):
        stub = {key: value for key, value in tree.items() if key != "content"} | {"content": []}
        tree = node("ListNode", "builtins.list", content=[tree, stub]) | {"__id__": 1000 + level}
    with pytest.raises(Refused):
        judge(holding(tree))


def test_an_id_that_contains_itself_is_refused(judge: Any) -> None:
    inner = node("ListNode", "builtins.list", content=[]) | {"__id__": 77}
    with pytest.raises(Unsafe, match="id"):
        judge(holding(node("ListNode", "builtins.list", content=[inner]) | {"__id__": 77}))


def test_one_array_under_many_names_is_refused(judge: Any) -> None:
    def edit(schema: dict[str, Any]) -> None:
        attributes = schema["content"]["content"]
        for index in range(50):
            attributes[f"extra{index}"] = attributes["coef_"] | {"__id__": index + 1}

    with pytest.raises(Unsafe, match="several objects"):
        judge(models.edited(models.skops_bytes(models.line()), edit))


@pytest.mark.parametrize("depth", [300, 5_000, 200_000])
def test_deep_nesting_is_refused(judge: Any, depth: int) -> None:
    head = '{"__id__":1,"__loader__":"ListNode","__module__":"builtins","__class__":"list","content":['
    schema = '{"protocol":2,' + head[1:] + head * depth + "]}" * (depth + 1)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("schema.json", schema)
    with pytest.raises(Unsafe, match="deep"):
        judge(target.getvalue())


@pytest.mark.parametrize("id_", [0, -1, None, True, "1"])
def test_every_object_has_an_id(judge: Any, id_: Any) -> None:
    """Those without would be read again each time they are referred to."""
    with pytest.raises(Unreadable):
        judge(holding(json_node(1) | {"__id__": id_}))


def test_checked_nodes_cannot_be_swapped_for_others_through_an_id(judge: Any) -> None:
    function = node("ListNode", "builtins.list", content=[node("FunctionNode", "numpy.mean")]) | {"__id__": 4242}
    text = node("ListNode", "builtins.list", content=[node("TypeNode", "builtins.str")]) | {"__id__": 4242}
    keyed = node("DictNode", "builtins.dict", key_types=text, content={"boo": json_node(1)})
    with pytest.raises(Unsafe, match="id"):
        judge(holding(node("ListNode", "builtins.list", content=[function, keyed])))


def with_array(content: bytes, loader: str = "NdArrayNode", type_: str = "numpy.ndarray") -> bytes:
    kind = "numpy" if loader == "NdArrayNode" else "scipy"
    data = holding(node(loader, type_, type=kind, file="77.npy"))
    target = io.BytesIO(data)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("77.npy", content)
    return target.getvalue()


def npz(**entries: Any) -> bytes:
    target = io.BytesIO()
    np.savez_compressed(target, **entries)
    return target.getvalue()


def test_an_array_is_in_numpys_format_and_not_another_archive(judge: Any) -> None:
    with pytest.raises(Unsafe, match="numpy's own format"):
        judge(with_array(npz(a=np.zeros(3))))


def test_a_sparse_matrix_is_bounded_as_the_whole_is(judge: Any) -> None:
    sparse = ("SparseMatrixNode", "scipy.sparse._csr.csr_matrix")
    assert judge(with_array(npz(data=np.ones(1), indices=np.zeros(1), indptr=np.arange(2), shape=[1, 1]), *sparse))
    with pytest.raises(Unsafe, match="bomb"):
        judge(with_array(npz(data=np.zeros(12_000_000)), *sparse))
    with pytest.raises(Unsafe, match="entry"):
        judge(with_array(npz(payload=np.zeros(1)), *sparse))


def rezipped(**changes: Any) -> bytes:
    """A good model in a zip archive that was changed in one way."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(models.skops_bytes(models.line()))) as source,
        zipfile.ZipFile(target, "w") as out,
    ):
        for name in source.namelist():
            out.writestr(name, source.read(name), changes.get("method"))
        for name, content in changes.get("entries", {}).items():
            out.writestr(name, content, zipfile.ZIP_DEFLATED)
    return target.getvalue()


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "C:\\x", "NUL", "a/b.npy", "model.pkl", "1.npy/../2.npy", "x" * 300]
)
def test_entries_that_skops_does_not_write_are_refused(judge: Any, name: str) -> None:
    with pytest.raises(Unsafe, match="entry"):
        judge(rezipped(entries={name: b""}))


def test_a_bomb_is_refused_by_what_it_claims(judge: Any) -> None:
    with pytest.raises(Unsafe, match="bomb"):
        judge(rezipped(entries={"1.npy": bytes(100 << 20)}))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_deflate_is_read(judge: Any, method: int) -> None:
    with pytest.raises(Unsafe, match="compression"):
        judge(rezipped(method=method))


def test_deflated_models_are_read(judge: Any) -> None:
    assert judge(rezipped(method=zipfile.ZIP_DEFLATED))


def test_data_before_the_archive_is_refused(judge: Any) -> None:
    with pytest.raises(Unsafe, match="before"):
        judge(b"MZ" * 100 + models.skops_bytes(models.line()))


def test_a_damaged_entry_is_unreadable(folder: Path) -> None:
    data = bytearray(models.skops_bytes(models.line()))
    start = data.index(b"\x93NUMPY")
    data[start + 130] ^= 0xFF
    path = folder / "damaged.skops"
    path.write_bytes(data)
    with pytest.raises(Unreadable):
        load(path)


def test_a_missing_array_is_unreadable(judge: Any) -> None:
    def edit(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["coef_"]["file"] = "123.npy"

    with pytest.raises(Unreadable):
        judge(models.edited(models.skops_bytes(models.line()), edit))


@pytest.mark.parametrize("thing", [[1, 2], {"a": 1}, (1,), LogisticRegression])
def test_what_is_no_object_is_no_predictor(judge: Any, thing: Any) -> None:
    with pytest.raises(NotAPredictor):
        judge(skops.io.dumps(thing))
