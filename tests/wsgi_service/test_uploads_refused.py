"""Uploads that are not taken: the right status, a reason, and nothing left behind (rows F1-F3, F5, F9, F19)."""

from typing import Any

import crafted
import models
import pytest
import skops.io
from conftest import StrictClient
from corpus import OTHERS, PICKLES, UNREADABLE
from sklearn.cluster import DBSCAN
from sklearn.linear_model import LogisticRegression

pytestmark = pytest.mark.extras

#: Beside the hosts that serve: one judges, one is for suspects, one stands by, and one may be dying.
MOST_BESIDES = 4
LINE = models.skops_bytes(models.line())


@pytest.fixture
def refused(client: StrictClient, left_behind: Any) -> Any:
    def upload(data: bytes, status: int, type_: str) -> Any:
        answer = client.put_model("victim", data)
        assert (answer.status_code, answer.json["type"]) == (status, f"/problems/{type_}"), answer.json
        assert (left_behind(), client.get("/models").json["models"]) == ([], [])
        return answer.json

    return upload


@pytest.mark.parametrize("kind", [*PICKLES, *OTHERS])
def test_known_formats_that_are_not_read_are_a_415(refused: Any, kind: str) -> None:
    refused((PICKLES | OTHERS)[kind], 415, "unsupported-format")


@pytest.mark.parametrize("row", crafted.REFUSED)
def test_a_crafted_file_gets_its_stated_answer_and_leaves_nothing(refused: Any, pool: Any, row: str) -> None:
    make, answer = crafted.REFUSED[row]
    problem = refused(make(), *answer)
    assert problem["safety"]["verdict"] == "refused"
    assert problem["safety"]["findings"]
    assert len(pool._all) <= pool.size + MOST_BESIDES


@pytest.mark.parametrize("row", crafted.ACCEPTED)
def test_a_file_that_is_made_harmless_answers(client: StrictClient, row: str) -> None:
    make, rule = crafted.ACCEPTED[row]
    assert client.put_model("tamed", make()).status_code == 201
    report = client.get("/models/tamed/versions/1/safety").json
    assert rule in {finding["rule"] for finding in report["findings"] + report["normalised"]}
    answer = client.post("/models/tamed/predict", json={"instances": [[5.1, 3.5, 1.4, 0.2]]})
    assert answer.status_code == 200


@pytest.mark.parametrize("kind", UNREADABLE)
def test_bytes_that_are_no_model_are_a_422(refused: Any, kind: str) -> None:
    refused(UNREADABLE[kind], 422, "unreadable-artifact")


def test_a_pickle_is_answered_with_the_next_line(refused: Any) -> None:
    problem = refused(PICKLES["joblib"], 415, "unsupported-format")
    assert "wsgi-service convert model.pkl model.skops" in problem["detail"]


@pytest.mark.parametrize("protocol", [-1, 0, 1, 99, True, "2"])
def test_other_protocols_are_a_422(refused: Any, protocol: Any) -> None:
    refused(models.edited(LINE, lambda schema: schema.update(protocol=protocol)), 422, "unreadable-artifact")


@pytest.mark.parametrize("type_", ["os.system", "builtins.eval", "__main__.f", "antigravity.Foo"])
def test_an_untrusted_type_is_a_422_that_lists_it(refused: Any, type_: str) -> None:
    def edit(schema: dict[str, Any]) -> None:
        schema["__module__"], _, schema["__class__"] = type_.rpartition(".")

    assert type_ in refused(models.edited(LINE, edit), 422, "unsafe-artifact")["safety"]["findings"][0]["message"]


@pytest.mark.parametrize(
    "thing",
    [LogisticRegression(), DBSCAN().fit([[1.0], [2.0]]), [1, 2], {"a": 1}, LogisticRegression],
    ids=["unfitted", "nothing for new rows", "list", "dict", "class"],
)
def test_what_cannot_predict_is_a_422(refused: Any, thing: Any) -> None:
    refused(skops.io.dumps(thing), 422, "not-a-predictor")


@pytest.mark.parametrize("type_", ["os.system", "builtins.eval"])
def test_a_function_instead_of_a_model_is_listed(refused: Any, type_: str) -> None:
    module, _, name = type_.rpartition(".")
    root = {"__loader__": "FunctionNode", "__module__": module, "__class__": name, "__id__": 1, "protocol": 2}
    problem = refused(models.edited(LINE, lambda _: root), 422, "unsafe-artifact")
    assert type_ in problem["safety"]["findings"][0]["message"]


def test_a_file_that_passes_the_gate_and_does_not_load_is_a_422(refused: Any) -> None:
    def edit(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["tol"]["content"] = "no JSON"

    refused(models.edited(LINE, edit), 422, "unreadable-artifact")


def test_compressed_uploads_are_a_415(client: StrictClient) -> None:
    answer = client.put("/models/iris/versions/1", data=LINE, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415
