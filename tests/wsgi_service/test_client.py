"""The client for Python, against a real server: what goes in and comes out is as with the estimator itself."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from conftest import PATIENCE, LiveServer
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from running import until
from scipy.sparse import csr_matrix
from share_client import wrong_answers
from sklearn.datasets import load_diabetes, load_iris, load_linnerud
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier

from wsgi_service.client import Client, RemoteError
from wsgi_service.client.api import _array
from wsgi_service.client.remote import Remote

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
    pytest.importorskip("pandas")
    client.push(models.people(), "people")
    table = models.people_table().copy()
    table.index = table.index + 100
    answer = client.predict("people", table)
    assert answer.tolist() == models.people().predict(table).tolist()
    assert answer.index.equals(table.index)
    probabilities = client.predict("people", table, method="predict_proba")
    assert probabilities.columns.tolist() == ["go", "stay"]
    np.testing.assert_array_equal(probabilities, models.people().predict_proba(table))


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


class ScriptedServer(http.server.ThreadingHTTPServer):
    """Has a script: one entry for each request, a status with headers or None for no answer.

    Attributes:
        ports: of the connections over which requests came.
        closed: how many connections have ended.
        after: what is sent once an answer was read, though nobody asked for it; sent_more is set then.
        entered: released by each request, which waits for go_on before it is answered.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Scripted)
        self.script: list[tuple[int, dict[str, str]] | None] = []
        self.ports: list[int] = []
        self.closed, self.after = 0, b""
        self.entered = threading.Semaphore(0)
        self.go_on, self.answer_read, self.sent_more = (threading.Event() for _ in range(3))
        self.go_on.set()


class Scripted(http.server.BaseHTTPRequestHandler):
    """Answers as the script of its server says."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.ports.append(self.client_address[1])
        said = self.server.script.pop(0)
        self.server.entered.release()
        assert self.server.go_on.wait(PATIENCE)
        if said is None:  # the connection breaks before there is an answer
            self.close_connection = True
            return
        status, headers = said
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
        if self.server.after:
            assert self.server.answer_read.wait(PATIENCE)
            self.wfile.write(self.server.after)
            self.server.sent_more.set()
        if "Connection" in headers:
            self.close_connection = True

    def finish(self) -> None:
        super().finish()
        self.server.closed += 1

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def scripted() -> Iterator[Any]:
    server = ScriptedServer()
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


def test_rows_that_cannot_be_sent_are_refused_here(scripted: Any) -> None:
    with (
        Client(f"http://127.0.0.1:{scripted.server_port}") as client,
        pytest.raises(ValueError, match="rows and columns"),
    ):
        client.predict("nobody", np.array([1.0, 2.0]))
    assert scripted.ports == []


def test_one_text_is_one_row_and_so_is_a_record(client: Client) -> None:
    client.push(models.spam(), "one-text")
    assert client.predict("one-text", "win money").tolist() == ["spam"]
    client.push(models.line(), "one-record")
    assert client.predict("one-record", {"x0": 1}).tolist() == pytest.approx([3.0])
    assert client.predict("one-record", {"x0": [1, 2]}).tolist() == pytest.approx([3.0, 5.0])


def test_frames_of_every_library_are_answered_alike(client: Client) -> None:
    pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    client.push(models.iris(), "frames", column_names=models.MEASURES)

    @settings(max_examples=25, deadline=None)
    @given(arrays(np.float64, st.tuples(st.integers(1, 6), st.just(4)), elements=st.floats(-10, 10)))
    def alike(rows: Any) -> None:
        frame = pd.DataFrame(rows, columns=models.MEASURES)
        turned = frame[frame.columns[::-1]]  # names are what counts, and not places
        forms = [frame, turned, pl.from_pandas(frame), pl.from_pandas(turned), pa.Table.from_pandas(frame), rows]
        expected = models.iris().predict_proba(rows)
        for form in forms:
            np.testing.assert_array_equal(client.predict("frames", form, method="predict_proba"), expected)

    alike()


def test_threads_that_share_a_client_get_their_own_answers(live_server: LiveServer) -> None:
    with Client(live_server.url) as shared:
        shared.push(models.line(), "line")
        assert wrong_answers(shared, 16, 60) == 0


def test_a_connection_over_which_nobody_asked_for_what_came_is_not_used(scripted: Any) -> None:
    """As when an answer came after its caller had gone: the next caller would have taken it for its own."""
    late = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n"
    scripted.after = late + b'{"predictions": [9.0]}'
    scripted.script = [(200, {}), (200, {})]
    with Client(f"http://127.0.0.1:{scripted.server_port}") as client:
        assert client.predict("x", [[1]]).tolist() == [1.0]
        scripted.answer_read.set()
        assert scripted.sent_more.wait(PATIENCE)
        assert client.predict("x", [[1]]).tolist() == [1.0]
    first, second = scripted.ports
    assert first != second


def test_a_change_is_not_made_twice_when_its_connection_breaks(scripted: Any) -> None:
    scripted.script = [(200, {}), None, (200, {})]
    remote = Remote(f"http://127.0.0.1:{scripted.server_port}", "")
    remote.send_json("POST", "/x", {})
    with pytest.raises(RemoteError, match="No answer"):
        remote.send_json("POST", "/x", {})
    remote.close()
    assert len(scripted.script) == 1


def test_a_predict_is_asked_again_over_a_new_connection(scripted: Any) -> None:
    scripted.script = [(200, {}), None, (200, {})]
    with Client(f"http://127.0.0.1:{scripted.server_port}") as client:
        for _ in range(2):
            assert client.predict("x", [[1]]).tolist() == [1.0]
    first, second, third = scripted.ports
    assert first == second != third


def test_close_closes_every_connection_also_one_in_use(scripted: Any) -> None:
    client = Client(f"http://127.0.0.1:{scripted.server_port}")
    scripted.script = [(200, {})] * 3
    scripted.go_on.clear()
    crowd = [threading.Thread(target=client.predict, args=("x", [[1]])) for _ in range(2)]
    for one in crowd:
        one.start()
    for _ in crowd:
        assert scripted.entered.acquire(timeout=PATIENCE)
    client.close()
    scripted.go_on.set()
    for one in crowd:
        one.join()
    client.predict("x", [[1]])
    client.close()
    assert len(set(scripted.ports)) == 3
    until(lambda: scripted.closed == 3)


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
