"""The client for Python, against a real server: what goes in and comes out is as with the estimator itself."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from conftest import LiveServer
from scipy.sparse import csr_matrix
from sklearn.datasets import load_diabetes, load_iris, load_linnerud
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier

from wsgi_service.client import Client, RemoteError, _array

pytestmark = [pytest.mark.system, pytest.mark.extras, pytest.mark.live]
FEATURES = load_iris().data


@pytest.fixture(scope="module")
def client(live_server: LiveServer) -> Iterator[Client]:
    with Client(live_server.url) as made:
        yield made


def test_an_estimator_is_pushed_and_answers_as_here(client: Client) -> None:
    stored = client.push(models.iris(), "from-python", class_names=models.SPECIES, column_names=models.MEASURES)
    assert stored["class_names"] == models.SPECIES
    assert [column["name"] for column in stored["schema"]["inputs"]] == models.MEASURES
    np.testing.assert_array_equal(client.predict("from-python", FEATURES), models.iris().predict(FEATURES))
    for method in ("predict_proba", "decision_function"):
        answer = client.predict("from-python", FEATURES, method=method)
        np.testing.assert_array_equal(answer, getattr(models.iris(), method)(FEATURES))


def test_a_file_is_pushed_as_exactly_this_version_and_made_live(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "line.skops"
    path.write_bytes(models.skops_bytes(models.line()))
    assert client.push(path, "pushed", version=3)["version"] == 3
    assert client.push(str(path), "pushed", live=True)["version"] == 4
    assert client.ask("pushed", [[1.0]])["version"] == 4
    assert [version["version"] for version in client.versions("pushed")] == [3, 4]
    assert "pushed" in [model["name"] for model in client.models()]
    assert client.predict("pushed", np.array([[1.0]]), version=3) == pytest.approx([3.0])
    assert client.predict("pushed", np.array([[1]]), alias="live") == pytest.approx([3.0])


def test_rows_may_be_lists_records_or_texts(client: Client) -> None:
    client.push(models.spam(), "texts")
    assert client.predict("texts", ["win money", "lunch at noon"]).tolist() == ["spam", "ham"]
    assert client.predict("texts", np.array(["win money"])).tolist() == ["spam"]
    client.push(models.line(), "lines")
    assert client.predict("lines", [{"x0": 1}, {"x0": np.float64(2)}]).tolist() == pytest.approx([3.0, 5.0])


def test_a_frame_comes_back_with_its_index(client: Client) -> None:
    pd = pytest.importorskip("pandas")
    client.push(models.people(), "people")
    table = models.people_table().copy()
    table.index = table.index + 100
    answer = client.predict("people", table)
    assert answer.tolist() == models.people().predict(table).tolist()
    assert answer.index.equals(table.index)
    probabilities = client.predict("people", table, method="predict_proba")
    assert probabilities.columns.tolist() == ["go", "stay"]
    np.testing.assert_array_equal(probabilities, models.people().predict_proba(table))
    dates = pd.DataFrame({"a": [pd.Timestamp("2024-01-01"), pd.NaT], "b": [pd.NA, 1]})
    from wsgi_service.client import _written

    assert json.loads(_written(dates, {})[0])["dataframe_split"]["data"] == [
        ["2024-01-01T00:00:00", None],
        [None, 1],
    ]


def test_missing_numbers_go_in_and_come_out_as_nan(client: Client) -> None:
    client.push(models.boosting(), "gaps")
    features = load_diabetes().data[:5].copy()
    features[2, 2] = np.nan
    np.testing.assert_array_equal(client.predict("gaps", features), models.boosting().predict(features))
    np.testing.assert_array_equal(client.predict("gaps", features.tolist()), models.boosting().predict(features))


def test_several_outputs_are_columns(client: Client) -> None:
    features, targets = load_linnerud(return_X_y=True)
    many = LinearRegression().fit(features, targets)
    client.push(many, "many")
    np.testing.assert_array_equal(client.predict("many", features), many.predict(features))


def test_the_whole_answer_has_who_gave_it(client: Client) -> None:
    client.push(models.iris(), "whole", class_names=models.SPECIES)
    answer = client.ask("whole", FEATURES[:1], **{"return": ["predict", "predict_proba"]})
    assert (answer["model"], answer["version"], answer["labels"]) == ("whole", 1, ["setosa"])
    assert list(answer["outputs"]) == ["predict", "predict_proba"]


def test_what_was_wrong_comes_with_row_and_column(client: Client) -> None:
    client.push(models.line(), "wrong")
    with pytest.raises(RemoteError) as caught:
        client.predict("wrong", [[1.0], ["x"]])
    assert caught.value.status == 422
    assert caught.value.document["errors"][0] == {
        "row": 1,
        "column": "x0",
        "message": "expected a number, got text",
    }
    with pytest.raises(ValueError, match="not both"):
        client.predict("wrong", [[1.0]], version=1, alias="live")
    with pytest.raises(RemoteError, match="Is the server running"):
        Client("http://127.0.0.1:9").models()


class Scripted(http.server.BaseHTTPRequestHandler):
    """Answers as the script of its server says, one entry for each request."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.ports.append(self.client_address[1])
        status, headers = self.server.script.pop(0)
        body = b'{"predictions": [1.0], "detail": "busy"}'
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if "Connection" in headers:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def scripted() -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.script, server.ports = [], []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_busy_server_is_asked_again_when_it_says_so(scripted: Any) -> None:
    scripted.script = [(503, {"Retry-After": "0"}), (503, {"Retry-After": "0"}), (200, {})]
    with Client(f"http://127.0.0.1:{scripted.server_port}") as client:
        assert client.predict("x", [[1]]).tolist() == [1.0]
    assert scripted.script == []


def test_patience_ends(scripted: Any) -> None:
    scripted.script = [(503, {"Retry-After": "60"})]
    with (
        Client(f"http://127.0.0.1:{scripted.server_port}", patience=5) as client,
        pytest.raises(RemoteError) as caught,
    ):
        client.predict("x", [[1]])
    assert caught.value.status == 503


def test_a_connection_is_kept_and_made_anew_when_it_was_closed(scripted: Any) -> None:
    scripted.script = [(200, {}), (200, {"Connection": "keep-alive, and yet closed"}), (200, {})]
    with Client(f"http://127.0.0.1:{scripted.server_port}") as client:
        for _ in range(3):
            client.predict("x", [[1]])
    first, second, third = scripted.ports
    assert first == second
    assert third != second


def test_probabilities_of_several_outputs_are_lists(client: Client) -> None:
    features, targets = load_iris(return_X_y=True)
    both = KNeighborsClassifier(3).fit(features, np.column_stack([targets, targets % 2]))
    client.push(both, "both")
    answer = client.predict("both", features[:2], method="predict_proba")
    expected = both.predict_proba(features[:2])
    assert answer == [[expected[0][row].tolist(), expected[1][row].tolist()] for row in range(2)]


def test_sparse_rows_go_as_numbers(client: Client) -> None:
    client.push(models.iris(), "sparse")
    given = csr_matrix(FEATURES[:3])
    np.testing.assert_array_equal(client.predict("sparse", given), models.iris().predict(FEATURES[:3]))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.array([1.0, 2.0]), "must have rows and columns"),
        ([[float("inf")]], "infinite number"),
        ([[float("-inf"), 1]], "infinite number"),
    ],
)
def test_rows_that_cannot_be_sent_are_refused_here(client: Client, rows: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        client.predict("nobody", rows)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([1, None], np.array([1.0, np.nan])),
        ([[1.5, None], [None, 2]], np.array([[1.5, np.nan], [np.nan, 2.0]])),
        (["a", None], np.array(["a", None], dtype=object)),
        (["a", "b"], np.array(["a", "b"])),
        ([True, False], np.array([True, False])),
        ([2**60 + 1, 1], np.array([2**60 + 1, 1])),
        ([2**63, 1], np.array([2**63, 1], dtype=object)),
    ],
)
def test_what_comes_back_is_of_its_kind(entries: list[Any], expected: Any) -> None:
    np.testing.assert_array_equal(_array(entries), expected)
    assert _array(entries).dtype == expected.dtype
