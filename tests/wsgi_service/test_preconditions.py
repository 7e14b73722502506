"""Strong validators, preconditions (RFC 9110), digests (RFC 9530), and uploads that are sent again."""

import base64
import hashlib
import io
from typing import Any

import models
import pytest
from conftest import StrictClient

from wsgi_service.app import create_app
from wsgi_service.resources.idempotency import turn
from wsgi_service.settings import Settings

IRIS = models.skops_bytes(models.iris())
LINE = models.skops_bytes(models.line())
LIVE = "/models/iris/aliases/live"
STALE = '"0123456789abcdef0123456789abcdef"'


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    for number in (1, 2):
        client.put_model("iris", models.skops_bytes(models.iris()), number)
    client.put("/models/iris/versions/1/examples", json={"instances": [[1, 2, 3, 4]]})
    return client


READABLE = [
    "/models/iris",
    "/models/iris/history",
    "/models/iris/versions",
    "/models/iris/versions/1",
    "/models/iris/versions/1/safety",
    "/models/iris/versions/1/checks",
    "/models/iris/versions/1/examples",
    "/models/iris/aliases",
    LIVE,
]


@pytest.mark.parametrize("address", READABLE)
def test_what_is_read_has_a_strong_validator_that_saves_reading_it_again(iris: StrictClient, address: str) -> None:
    etag = iris.get(address).headers["ETag"]
    assert etag.startswith('"')
    assert iris.get(address).headers["ETag"] == etag
    again = iris.get(address, headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    assert iris.get(address, headers={"If-None-Match": STALE}).status_code == 200


#: What changes something: method, address, body, and the address whose validator counts.
CHANGES = [
    ("PUT", "/models/iris", {"description": "x"}, "/models/iris"),
    ("DELETE", "/models/iris", None, "/models/iris"),
    ("PUT", "/models/iris/versions/1", {"description": "x"}, "/models/iris/versions/1"),
    ("DELETE", "/models/iris/versions/2", None, "/models/iris/versions/2"),
    ("PUT", "/models/iris/versions/1/examples", {"instances": [[5, 6, 7, 8]]}, "/models/iris/versions/1/examples"),
    ("PUT", LIVE, {"version": 2}, LIVE),
    ("DELETE", LIVE, None, LIVE),
]


@pytest.mark.parametrize(("method", "address", "body", "validated"), CHANGES)
def test_a_change_with_a_stale_tag_is_refused_and_with_the_right_one_made(
    iris: StrictClient, app: Any, method: str, address: str, body: Any, validated: str
) -> None:
    etag, revision = iris.get(validated).headers["ETag"], app.catalog.registry.revision()
    for wrong in (STALE, f"W/{etag}", f"{STALE}, W/{etag}"):
        refused = iris.open(address, method=method, json=body, headers={"If-Match": wrong})
        assert (refused.status_code, refused.json["type"]) == (412, "/problems/precondition-failed")
        assert refused.headers["ETag"] == etag
    assert app.catalog.registry.revision() == revision
    made = iris.open(address, method=method, json=body, headers={"If-Match": f"{STALE}, {etag}"})
    assert made.status_code in {200, 204}, made.json
    if method == "PUT":
        assert made.headers["ETag"] == iris.get(validated).headers["ETag"] != etag


@pytest.mark.parametrize("tag", ["", "abc", '"a', 'a"b"', '"a" "b"', '"a",', "*, *"])
def test_a_malformed_tag_is_a_400(iris: StrictClient, tag: str) -> None:
    assert iris.put(LIVE, json={"version": 2}, headers={"If-Match": tag}).status_code == 400


def test_a_star_matches_whatever_is_there(iris: StrictClient) -> None:
    assert iris.put(LIVE, json={"version": 2}, headers={"If-Match": "*"}).status_code == 200
    nothing = iris.put("/models/iris/aliases/test", json={"version": 2}, headers={"If-Match": "*"})
    assert nothing.status_code == 412


def test_if_none_match_makes_only_what_is_new(iris: StrictClient) -> None:
    new = {"If-None-Match": "*"}
    assert iris.put(LIVE, json={"version": 2}, headers=new).status_code == 412
    assert iris.put("/models/iris/aliases/test", json={"version": 2}, headers=new).status_code == 201
    assert iris.post("/models", json={"name": "other"}, headers=new).status_code == 201
    assert iris.put("/models/iris/versions/2", data=IRIS, headers=new).status_code == 412
    assert iris.put("/models/iris/versions/3", data=IRIS, headers=new).status_code == 201


def test_reading_with_a_stale_tag_is_a_problem_and_not_the_thing_itself(iris: StrictClient) -> None:
    for address in ("/models/iris", "/models/iris/versions/1/artifact"):
        answer = iris.get(address, headers={"If-Match": STALE})
        assert (answer.status_code, answer.mimetype) == (412, "application/problem+json")


def test_a_change_that_asks_for_another_state_than_the_one_there_is_refused(iris: StrictClient) -> None:
    etag = iris.get(LIVE).headers["ETag"]
    refused = iris.put(LIVE, json={"version": 2}, headers={"If-None-Match": f"{STALE}, W/{etag}"})
    assert refused.status_code == 412
    assert iris.put(LIVE, json={"version": 2}, headers={"If-None-Match": STALE}).status_code == 200


def test_an_upload_to_a_list_that_changed_is_refused(iris: StrictClient) -> None:
    address = "/models/iris/versions"
    etag = iris.get(address).headers["ETag"]
    for tag, status in ((STALE, 412), (etag, 201), (etag, 412)):
        assert iris.post(address, data=IRIS, headers={"If-Match": tag}).status_code == status


def test_a_head_request_has_no_ranges(iris: StrictClient) -> None:
    answer = iris.head("/models/iris/versions/1/artifact", headers={"Range": "bytes=0-9"})
    assert (answer.status_code, "Content-Range" in answer.headers) == (200, False)


def test_lifting_a_quarantine_and_going_back_honour_preconditions(iris: StrictClient) -> None:
    iris.put(LIVE, json={"version": 2})
    etag = iris.get(LIVE).headers["ETag"]
    assert iris.post(f"{LIVE}/rollback", headers={"If-Match": STALE}).status_code == 412
    assert iris.post(f"{LIVE}/rollback", headers={"If-Match": etag}).json["to"] == 1
    quarantine = "/models/iris/versions/1/quarantine"
    assert iris.delete(quarantine, headers={"If-Match": STALE}).status_code == 412


def test_a_server_can_ask_for_preconditions_where_an_alias_moves(folder: Any, pool: Any) -> None:
    service = create_app(Settings(data=str(folder), require_preconditions=True), pool)
    client = StrictClient(service)
    for number in (1, 2):
        client.put_model("iris", IRIS, number)
    for call in (
        lambda **kept: client.put(LIVE, json={"version": 2}, **kept),
        lambda **kept: client.post(f"{LIVE}/rollback", **kept),
        lambda **kept: client.delete(LIVE, **kept),
    ):
        refused = call()
        assert (refused.status_code, refused.json["type"]) == (428, "/problems/precondition-required")
        assert call(headers={"If-Match": client.get(LIVE).headers["ETag"]}).status_code in {200, 204}
    assert client.put(LIVE, json={"version": 1}).status_code == 201, "a new alias needs none"
    assert client.put(f"{LIVE}?dry_run=true", json={"version": 2}).status_code == 200, "nor does a dry run"
    client.put(LIVE, json={"version": 2}, headers={"If-Match": "*"})
    assert client.post(f"{LIVE}/rollback", json={"from": 2}).status_code == 200, "from is a precondition too"
    service.catalog.registry.close()


def digest_of(data: bytes, name: str = "sha256") -> str:
    return base64.b64encode(hashlib.new(name, data).digest()).decode()


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
def test_an_upload_is_held_against_the_digest_that_came_with_it(
    client: StrictClient, left_behind: Any, header: str
) -> None:
    wrong = client.put("/models/line/versions/1", data=LINE, headers={header: f"sha-256=:{digest_of(b'')}:"})
    assert (wrong.status_code, wrong.json["type"]) == (422, "/problems/digest-mismatch")
    assert client.get("/models/line").status_code == 404
    assert left_behind() == []
    both = f"md5=:AAAA:, sha-256=:{digest_of(LINE)}:;q=1, sha-512=:{digest_of(LINE, 'sha512')}:"
    assert client.put("/models/line/versions/1", data=LINE, headers={header: both}).status_code == 201


@pytest.mark.parametrize("value", ["x", "sha-256=abc", "sha-256=:!:", "sha-256=:AAA:", "sha-256"])
def test_a_digest_that_is_none_is_a_400(client: StrictClient, value: str) -> None:
    answer = client.put("/models/line/versions/1", data=LINE, headers={"Content-Digest": value})
    assert answer.status_code == 400


def test_the_digest_of_a_form_is_that_of_all_its_parts(client: StrictClient) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="m"\r\n\r\n' + LINE + b"\r\n--b--\r\n"
    for content, status in ((body + b"x", 422), (body, 201)):
        headers = {"Content-Digest": f"sha-256=:{digest_of(body)}:"}
        kind = "multipart/form-data; boundary=b"
        answer = client.put("/models/line/versions/1", data=content, content_type=kind, headers=headers)
        assert answer.status_code == status


def test_downloads_carry_their_digests(client: StrictClient) -> None:
    client.put_model("line", LINE)
    address = "/models/line/versions/1/artifact"
    whole = client.get(address)
    expected = f"sha-256=:{digest_of(LINE)}:"
    assert (whole.headers["Repr-Digest"], whole.headers["Content-Digest"]) == (expected, expected)
    part = client.get(address, headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.headers["Repr-Digest"]) == (206, expected)
    assert "Content-Digest" not in part.headers


def post(client: StrictClient, key: str, data: bytes = LINE, **query: str) -> Any:
    headers = {"Idempotency-Key": key}
    return client.post("/models/line/versions", data=data, headers=headers, query_string=query)


@pytest.mark.parametrize("key", ["k", '"k"', "x" * 255])
def test_an_upload_that_is_sent_again_gets_the_answer_that_it_had(client: StrictClient, key: str) -> None:
    first = post(client, key)
    client.put("/models/line/versions/1", json={"description": "later"})
    again = post(client, key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.data, again.headers["Location"]) == (first.data, first.headers["Location"])
    assert len(client.get("/models/line/versions").json["versions"]) == 1


def test_a_key_stands_for_one_upload_of_one_model(client: StrictClient) -> None:
    post(client, "k")
    for again in (post(client, "k", IRIS), post(client, "k", column_names="x")):
        assert (again.status_code, again.json["type"]) == (422, "/problems/key-reused")
    other = client.post("/models/other/versions", data=LINE, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json["version"]) == (201, 1)


def test_a_refused_upload_leaves_its_key_free(client: StrictClient) -> None:
    assert post(client, "k", b"nonsense").status_code == 422
    assert post(client, "k").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é", "x" * 10_000])
def test_a_key_that_is_none_is_a_400(client: StrictClient, key: str) -> None:
    assert post(client, key).status_code == 400


def test_the_same_key_twice_at_once_is_a_409(client: StrictClient) -> None:
    with turn("line", "k"):
        again = post(client, "k")
    assert (again.status_code, again.json["type"]) == (409, "/problems/upload-under-way")
    with turn("other", "k"):
        assert post(client, "k").status_code == 201


def test_the_keys_of_a_model_go_with_it(client: StrictClient) -> None:
    assert [post(client, "k").json["version"], post(client, "k").json["version"]] == [1, 1]
    client.delete("/models/line")
    assert post(client, "k").json["version"] == 2


def test_forms_have_keys_as_well_and_their_examples_belong_to_the_upload(client: StrictClient) -> None:
    def send(examples: bytes) -> Any:
        parts = {"file": (io.BytesIO(LINE), "m"), "examples": (io.BytesIO(examples), "e.csv")}
        return client.post("/models/line/versions", data=parts, headers={"Idempotency-Key": "k"})

    assert [send(b"x0\n1\n").json["version"] for _ in range(2)] == [1, 1]
    assert send(b"x0\n2\n").status_code == 422
