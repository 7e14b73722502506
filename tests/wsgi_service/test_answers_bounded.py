"""What a crafted model can make of an answer or a schema, and that the HTTP process does not pay for it."""

import io
import pickle
import zipfile
from typing import Any

import models
import numpy as np
import pytest
import skops.io
from conftest import StrictClient
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from wsgi_service.errors import ResultTooLarge
from wsgi_service.hosts import buffers, frames
from wsgi_service.rows import tables
from wsgi_service.rows.cells import allowed_by

X, Y = load_iris(return_X_y=True)
ROW = [5.1, 3.5, 1.4, 0.2]


def always(label: Any) -> bytes:
    """A classifier that gives one label for every row."""
    model = LogisticRegression(C=0.1, max_iter=500).fit(X, Y)
    model.coef_[:] = 0
    model.intercept_ = np.array([0.0, 1.0, 0.0])
    model.classes_ = np.array(["a", None, "c"], dtype=object)
    model.classes_[1] = label
    return skops.io.dumps(model)


def test_an_answer_of_long_texts_is_refused_in_the_host(client: StrictClient) -> None:
    assert client.put_model("book", always("b" * (1 << 20))).status_code == 201
    answer = client.post("/predict", json={"instances": [ROW] * 100})
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/result-too-large")


def test_a_version_whose_labels_are_no_scalars_is_kept_and_does_not_answer(client: StrictClient) -> None:
    version = client.put_model("nested", always([[]] * 3)).json
    assert (version["state"], version["aliases"]) == ("quarantined", [])
    assert version["faults"] == ["predict gives something else than numbers, texts, booleans and dates."]
    answer = client.post("/predict", json={"instances": [ROW], "version": 1})
    assert (answer.status_code, "predictions" in answer.json) == (503, False)


def test_a_claim_of_a_million_outputs_is_refused(client: StrictClient, left_behind: Any) -> None:
    model = LinearRegression().fit(X, Y)
    model.n_outputs_ = 1_500_000
    answer = client.put_model("wide", model)
    assert (answer.status_code, answer.json["type"], left_behind()) == (422, "/problems/not-a-predictor", [])


def test_a_linear_model_of_many_outputs_is_refused(client: StrictClient) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("coef.npy", "w") as entry:
        np.lib.format.write_array(entry, np.zeros((700_000, 1), dtype=np.int8))
    assert client.put_model("wide", target.getvalue()).json["type"] == "/problems/not-a-predictor"


def test_a_description_of_megabytes_is_refused(client: StrictClient) -> None:
    encoder = OneHotEncoder().fit(np.arange(600_000).reshape(-1, 1).astype(float))
    assert "larger than 4 MB" in client.put_model("wide", encoder).json["detail"]


def test_a_long_release_is_not_repeated(client: StrictClient) -> None:
    model = LinearRegression().fit(X, Y)

    def edit(schema: dict[str, Any]) -> None:
        version = schema["content"]["content"]["_sklearn_version"]
        version["content"] = f'"{"9" * 100_000}"'

    answer = client.put_model("old", models.edited(skops.io.dumps(model), edit))
    assert len(answer.data) < 10_000


def test_categories_are_looked_up_in_a_set(client: StrictClient) -> None:
    encoder = OneHotEncoder().fit(np.arange(2000).reshape(-1, 1).astype(float))
    schema_column = client.put_model("many", encoder).json["schema"]["inputs"][0]
    assert len(schema_column["categories"]) == 2000
    refused = client.post("/predict", json={"instances": [[0.5]]}).json
    assert "not one of the allowed" in refused["errors"][0]["message"]
    from model_store.schema import Column

    assert isinstance(allowed_by(Column(name="x", type="number", categories=(1.0, 2.0))), frozenset)


@pytest.mark.parametrize(
    ("result", "rows"),
    [(np.float64(7.0), 1), (np.zeros(3), 4), (np.zeros((1, 2)), 2), ([np.zeros(2), np.zeros(3)], 2), ([["a"]], 2)],
)
def test_a_result_has_an_entry_for_each_row(result: Any, rows: int) -> None:
    with pytest.raises(ValueError, match="row"):
        buffers.encode_result(result, rows)


def test_a_sparse_list_is_not_an_answer() -> None:
    """Found by the fuzzer: a label binarizer that was told to be sparse."""
    with pytest.raises(ValueError, match="sparse"):
        buffers.encode_result(sparse.csr_array(np.array([1.0, 2.0])), 2)


def test_numbers_of_sixteen_bytes_become_numbers_of_eight() -> None:
    outcome, sent = buffers.encode_result(np.ones(2, dtype=np.longdouble), 2)
    assert buffers.decode_result(outcome, [bytearray(buffer) for buffer in sent]).tolist() == [1.0, 1.0]


def test_a_result_of_too_many_values_is_too_large() -> None:
    with pytest.raises(ResultTooLarge):
        buffers.encode_result(np.broadcast_to(np.zeros(1), (2, tables.MAX_VALUES)), 2)


def test_what_a_host_claims_to_send_is_bounded() -> None:
    prefix = frames.PREFIX.pack(1, 1) + (frames.MAX_REPLY + 1).to_bytes(8, "little") + b"x"
    with pytest.raises(frames.BrokenFrame, match="too large"):
        frames.read_reply(io.BufferedReader(io.BytesIO(prefix)))


def test_a_function_that_gives_a_single_number_is_not_taken(client: StrictClient) -> None:
    total = FunctionTransformer(np.sum, validate=True).fit(X)
    assert client.put_model("total", total).json["type"] == "/problems/unsafe-artifact"


def test_a_pickle_of_an_estimator_is_nothing_but_a_refusal_here(client: StrictClient) -> None:
    assert client.put_model("line", pickle.dumps(models.line())).status_code == 415
