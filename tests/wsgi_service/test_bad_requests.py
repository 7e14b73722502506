"""Requests that are wrong, and what is said about them (rows R1-R11, R18, R26, R27, R30-R42)."""

import json
from typing import Any

import models
import pytest
from conftest import StrictClient
from werkzeug.test import EnvironBuilder, run_wsgi_app

JSON = "application/json"
GOOD = {"instances": [[5.1, 3.5, 1.4, 0.2]]}


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    names = '["sepal length (cm)","sepal width (cm)","petal length (cm)","petal width (cm)"]'
    client.put_model("iris", models.iris(), column_names=names)
    return client


def problem(answer: Any, status: int, type_: str | None = None) -> dict[str, Any]:
    """The problem document, which always has the same members and never says where it comes from."""
    assert answer.status_code == status, answer.data[:500]
    assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    document: dict[str, Any] = answer.json
    assert {"type", "title", "status", "detail", "request_id"} <= document.keys()
    assert document["status"] == status
    for secret in ("Traceback", "site-packages", 'File "', "/tmp", ".py"):
        assert secret not in answer.get_data(as_text=True)
    if type_:
        assert document["type"] == f"/problems/{type_}"
    return document


def test_an_address_that_is_not_there(client: StrictClient) -> None:
    problem(client.get("/nope"), 404, "not-found")
    assert "Access-Control-Allow-Origin" not in client.get("/nope").headers


@pytest.mark.parametrize(
    ("method", "url", "allowed"),
    [
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("DELETE", "/models", {"GET", "HEAD", "POST"}),
        ("PATCH", "/models/iris", {"GET", "HEAD", "PUT", "DELETE"}),
        ("PUT", "/predict", {"GET", "HEAD", "POST"}),
    ],
)
def test_a_method_that_an_address_does_not_have(
    client: StrictClient, method: str, url: str, allowed: set[str]
) -> None:
    answer = client.open(url, method=method)
    problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed


#: What machines poll, which may add keys of their own.
POLLED = {"/", "/healthz", "/readyz", "/metrics"}


def test_a_key_that_an_address_does_not_name_is_refused_everywhere(iris: StrictClient, app: Any) -> None:
    """But in links that predict, where it is a column, and by what machines poll; and nothing is changed."""
    asked = 0
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<name:model>", "iris").replace("<version:number>", "1")
        path = path.replace("<name:alias>", "live")
        if path in POLLED or path.startswith(("/ui", "/docs")) or path.endswith("/docs"):
            continue
        for method in (rule.methods or set()) - {"HEAD"} - ({"GET"} if path.endswith("/predict") else set()):
            asked += 1
            answer = iris.open(f"{path}?nonsense=2", method=method, data=b"{}", content_type=JSON)
            problem(answer, 400, "unknown-parameter")
    assert asked >= 30
    for path in POLLED:
        assert iris.get(f"{path}?nonsense=2").status_code in {200, 503}
    assert iris.get("/models/iris/aliases/live").json["version"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "..", "%2e%2e", ".", "a%2Fb", "a%5Cb", "a\\b", "a%00b", "a%0d%0ab", "%ff", "mod%C3%A8le", "%F0%9F%98%80",
        "a%E2%80%AEb", "CON", "COM%C2%B9", "LPT9", "x.", "x%20", "a:b", "a::$DATA", "Model", "x" * 65,
        "x" * 10_000,
    ],
)  # fmt: skip
def test_a_name_outside_the_rule_is_no_address(client: StrictClient, name: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = client.open(f"/models/{name}", method=method)
        assert answer.status_code == 404
        assert len(name) < 3 or name not in answer.get_data(as_text=True)


@pytest.mark.parametrize("name", ["nul.skops", "aux.txt", "com1"])
def test_names_that_windows_reserves_are_ordinary_here(client: StrictClient, name: str) -> None:
    assert client.put_model(name, models.line()).status_code == 201
    assert client.get(f"/models/{name}/versions/1/artifact").status_code == 200


def test_a_bad_name_in_an_address_states_the_rule(client: StrictClient) -> None:
    assert "lower-case" in problem(client.get("/models/Iris"), 404)["detail"]


@pytest.mark.parametrize("number", ["0", "01", "-1", "1.0", "iris.skops", "2147483648", "9" * 40, "%2B1"])
def test_a_version_that_is_no_number_says_what_one_is(client: StrictClient, number: str) -> None:
    detail = problem(client.put(f"/models/iris/versions/{number}", data=b"x"), 404)["detail"]
    assert "whole number from 1 to 2147483647" in detail
    assert "curl --data-binary" in detail
    assert number not in detail or len(number) < 3


@pytest.mark.parametrize("url", ["//evil.com/models", "/models//x", "///models"])
def test_doubled_slashes_lead_nowhere(client: StrictClient, url: str) -> None:
    answer = client.get(url, base_url="http://localhost")
    assert answer.status_code in (200, 404)
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [("a b", 400), ("", 400), ("a, b", 400), ("x\\y", 400), ("evil.com", 421), ("127.0.0.1.evil.com", 421)],
)
def test_a_host_that_is_not_ours(client: StrictClient, host: str, status: int) -> None:
    problem(client.get("/healthz", environ_overrides={"HTTP_HOST": host}), status)


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "LOCALHOST"])
def test_the_names_of_this_machine_are_ours(client: StrictClient, host: str) -> None:
    assert client.get("/healthz", environ_overrides={"HTTP_HOST": host}).status_code == 200


def test_a_request_without_host(client: StrictClient) -> None:
    environ = EnvironBuilder("/healthz").get_environ()
    del environ["HTTP_HOST"]
    body, status, _ = run_wsgi_app(client.application, environ, buffered=True)
    assert (status[:3], b"bad-host" in b"".join(body)) == ("400", True)


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_pages_of_other_sites_cannot_change_or_ask(iris: StrictClient, headers: dict[str, str]) -> None:
    problem(iris.post("/predict", json=GOOD, headers=headers), 403, "cross-site")
    problem(iris.delete("/models/iris", headers=headers), 403, "cross-site")
    answer = iris.post("/predict", data=json.dumps(GOOD), content_type="text/plain", headers=headers)
    problem(answer, 415, "unsupported-media-type")
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert iris.get("/models/iris", headers=headers).status_code == 200


def test_our_own_pages_may(iris: StrictClient) -> None:
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert iris.post("/predict", json=GOOD, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/html",
        "application/vnd.bentoml+pickle",
        "application/json; charset=latin-1",
        "application/x-www-form-urlencoded",
    ],
)
def test_a_predict_in_another_type(iris: StrictClient, content_type: str | None) -> None:
    detail = problem(iris.post("/predict", data=json.dumps(GOOD), content_type=content_type), 415)["detail"]
    if content_type and "urlencoded" in content_type:
        assert '-H "Content-Type: application/json"' in detail


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate"])
def test_compressed_bodies_are_not_read(iris: StrictClient, coding: str) -> None:
    problem(iris.post("/predict", json=GOOD, headers={"Content-Encoding": coding}), 415)


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=UTF-8"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_windows_powershell_writes_is_read(iris: StrictClient, charset: str, encoding: str) -> None:
    body = json.dumps(GOOD).encode(encoding)
    assert iris.post("/predict", data=body, content_type=JSON + charset).json["predictions"] == [0]


@pytest.mark.parametrize(
    "body", ["null", "[]", "{}", '"x"', "1", '{"instances": []}', '{"instances": 1}', '{"instances": {}}']
)
def test_bodies_that_hold_no_rows(iris: StrictClient, body: str) -> None:
    problem(iris.post("/predict", data=body, content_type=JSON), 422)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b'{"instances": [[1,2', b"\xff\xfe{", b'{"instances":[["\xe9"]]}',
        b'{"instances":[[1,2,3,4]]} x',
        b'{"instances":[[1,2,3,4]]}{}', b"[" * 100_000, b'{"a":' * 100_000, b'{"instances":' + b"[" * 100_000,
        b'{"instances":[["\\ud800",1,1,1]]}', b'{"instances":[[NaN,1,1,1]]}', b'{"instances":[[Infinity,1,1,1]]}',
        b'{"instances":[[-Infinity,1,1,1]]}',
    ],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
def test_bodies_that_are_no_json(iris: StrictClient, body: bytes) -> None:
    problem(iris.post("/predict", data=body, content_type=JSON), 400, "malformed-body")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 5000, "1" + "0" * 400, "-" + "9" * 400])
def test_numbers_out_of_range(iris: StrictClient, number: str) -> None:
    answer = iris.post("/predict", data=f'{{"instances":[[{number},1,1,1]]}}', content_type=JSON)
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("number", ["9223372036854775808", "-0.0", "1e-400", "1E5", "18446744073709551616"])
def test_numbers_that_a_float_can_hold(iris: StrictClient, number: str) -> None:
    assert iris.post("/predict", data=f'{{"instances":[[{number},1,1,1]]}}', content_type=JSON).status_code == 200


def test_of_a_key_that_stands_twice_the_last_counts(iris: StrictClient) -> None:
    body = '{"instances": 1, "instances": [[5.1,3.5,1.4,0.2]]}'
    assert iris.post("/predict", data=body, content_type=JSON).json["predictions"] == [0]


@pytest.mark.parametrize("key", ["colour", "__proto__", "__class__"])
def test_unknown_keys(iris: StrictClient, key: str) -> None:
    document = problem(iris.post("/predict", json=GOOD | {key: 1}), 422)
    assert key not in document["detail"]


def test_a_nul_in_a_text_is_text(client: StrictClient) -> None:
    client.put_model("spam", models.spam())
    assert client.post("/predict", json={"instances": ["a\x00b"]}).status_code == 200


ROW_ERRORS = [
    ([[1, 2, 3]], "row 0: expected 4 columns, got 3: 'petal width (cm)' is missing"),
    ([[1, 2]], "row 0: expected 4 columns, got 2: 'petal length (cm)', 'petal width (cm)' are missing"),
    ([[1, 2, 3, 4, 5]], "row 0: expected 4 columns, got 5"),
    ([[1, 2, 3, 4], [1]], "row 1: expected 4 columns, got 1"),
    ([1, 2, 3, 4], "row 0: expected a list of 4 values, or a record"),
    ([[[1], [2], [3], [4]]], "row 0, column 'sepal length (cm)': expected a number, got a list"),
    ([["red", 1, 1, 1]], "row 0, column 'sepal length (cm)': expected a number, got text"),
    ([["nan", 1, 1, 1]], "expected a number, got text"),
    ([["1_000", 1, 1, 1]], "expected a number, got text"),
    ([["", 1, 1, 1]], "expected a number, got text"),
    ([[1, {}, 1, 1]], "column 'sepal width (cm)': expected a number, got a record"),
    ([[1, None, 1, 1]], "column 'sepal width (cm)': a missing value (null) is not taken here"),
    ([[1, {}, 1, 1]], "expected a number, got a record"),
    ([{"sepal length (cm)": 1}], "row 0, column 'sepal width (cm)': is missing"),
]


@pytest.mark.parametrize(("instances", "words"), ROW_ERRORS)
def test_a_wrong_row_is_named_with_its_column(iris: StrictClient, instances: Any, words: str) -> None:
    document = problem(iris.post("/predict", json={"instances": instances}), 422, "invalid-rows")
    assert words in document["detail"]
    assert document["version_url"] == "/models/iris/versions/1"
    assert iris.post("/predict", json=document["sample"]).status_code == 200


def test_a_number_written_as_text_is_a_number(iris: StrictClient) -> None:
    assert iris.post("/predict", json={"instances": [["5.1", " 3.5", "1.4e0", "+.2"]]}).json["predictions"] == [0]


def test_an_unknown_column_is_not_repeated_but_the_right_one_is_guessed(iris: StrictClient) -> None:
    record = dict.fromkeys(models.MEASURES, 1.0) | {"petal widht (cm)": 1.0}
    document = problem(iris.post("/predict", json={"instances": [record]}), 422, "invalid-rows")
    assert document["errors"][0]["message"] == "1 column is not known here; did you mean 'petal width (cm)'?"
    assert "widht" not in json.dumps(document)


def test_at_most_a_hundred_errors_are_listed(iris: StrictClient) -> None:
    document = problem(iris.post("/predict", json={"instances": [["x", "y", 1, 1]] * 500}), 422)
    assert len(document["errors"]) == 100


def test_deeper_arrays_are_refused(iris: StrictClient) -> None:
    nested: Any = 1
    for _ in range(65):
        nested = [nested]
    problem(iris.post("/predict", json={"instances": nested}), 422)


@pytest.mark.parametrize("method", ["transform", "__class__", "fit", "set_params", "", "PREDICT"])
def test_methods_outside_the_versions_list(iris: StrictClient, method: str) -> None:
    document = problem(iris.post("/predict", json=GOOD | {"method": method}), 422, "unsupported-method")
    assert "predict, predict_proba" in document["detail"]


def test_probabilities_of_a_model_that_has_none(client: StrictClient) -> None:
    client.put_model("line", models.line())
    problem(
        client.post("/predict", json={"instances": [[1]], "method": "predict_proba"}), 422, "unsupported-method"
    )


@pytest.mark.parametrize(
    "control", [{"version": "1"}, {"version": 0}, {"version": 1, "alias": "live"}, {"model": 1}, {"method": 1}]
)
def test_control_keys_of_another_type(iris: StrictClient, control: Any) -> None:
    problem(iris.post("/predict", json=GOOD | control), 422, "invalid-request")


@pytest.mark.parametrize(
    "control", [{"model": "nope"}, {"model": "iris", "version": 9}, {"model": "iris", "alias": "nope"}]
)
def test_who_is_not_there(iris: StrictClient, control: Any) -> None:
    problem(iris.post("/predict", json=GOOD | control), 404)


def test_more_rows_than_the_limit(iris: StrictClient, app: Any) -> None:
    problem(iris.post("/predict", json={"instances": [[1, 1, 1, 1]] * 100_001}), 413, "too-many-rows")


def test_a_body_over_the_limit_is_refused_by_the_application_as_well(iris: StrictClient) -> None:
    document = problem(iris.post("/predict", data=b" " * ((16 << 20) + 1), content_type=JSON), 413)
    assert "at most 16 MB" in document["detail"]
    problem(iris.post("/models", data=b" " * ((1 << 20) + 1), content_type=JSON), 413)


def test_a_body_that_ends_too_early_stores_nothing(client: StrictClient, left_behind: Any) -> None:
    data = models.skops_bytes(models.line())
    environ = {"CONTENT_LENGTH": str(len(data) + 10)}
    answer = client.put("/models/line/versions/1", data=data, environ_overrides=environ)
    assert answer.status_code == 400
    assert (left_behind(), client.get("/models").json["models"]) == ([], [])


def test_a_request_id_is_taken_over_only_if_it_is_well_formed(client: StrictClient) -> None:
    assert client.get("/nope", headers={"X-Request-Id": "abc-1"}).json["request_id"] == "abc-1"
    for bad in ("a b", "x" * 129, "<script>", "é"):
        assert client.get("/nope", headers={"X-Request-Id": bad}).json["request_id"] != bad
