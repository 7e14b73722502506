"""Models, versions and aliases over HTTP."""

from typing import Any

import models
import pytest
from conftest import StrictClient

IRIS = models.skops_bytes(models.iris())
LINE = models.skops_bytes(models.line())


def test_the_first_address_says_what_this_is(client: StrictClient) -> None:
    answer = client.get("/")
    assert answer.json["name"] == "wsgi-service"
    for link in ("/models", "/healthz", "/readyz"):
        assert link in answer.json["links"].values()
        assert client.get(link).status_code == 200


def test_a_model_is_created_read_changed_and_deleted(client: StrictClient) -> None:
    created = client.post("/models", json={"name": "iris", "description": "flowers", "tags": {"team": "a"}})
    assert (created.status_code, created.headers["Location"]) == (201, "/models/iris")
    assert client.get("/models/iris").json == created.json
    changed = client.put("/models/iris", json={"description": None})
    assert (changed.json["description"], changed.json["tags"]) == (None, {"team": "a"})
    deleted = client.delete("/models/iris")
    assert (deleted.status_code, deleted.data, "Content-Type" in deleted.headers) == (204, b"", False)
    assert client.get("/models/iris").status_code == 404


def test_a_model_is_created_once(client: StrictClient) -> None:
    client.post("/models", json={"name": "iris"})
    again = client.post("/models", json={"name": "iris"})
    assert (again.status_code, again.json["type"]) == (409, "/problems/model-exists")


@pytest.mark.parametrize("name", ["", "Iris", "a/b", "CON", "x.", "a:b", "x" * 65, "é", "a\r\nb", "nul\x00"])
def test_a_bad_name_in_a_body_is_a_422_that_states_the_rule(client: StrictClient, name: str) -> None:
    answer = client.post("/models", json={"name": name})
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid-name")
    assert "lower-case" in answer.json["detail"]


@pytest.mark.parametrize(
    "body",
    [{}, {"name": 1}, {"name": "a", "colour": 1}, {"name": "a", "tags": 1}, {"name": "a", "__class__": "x"}, []],
)
def test_a_body_of_another_form_is_a_422(client: StrictClient, body: Any) -> None:
    assert client.post("/models", json=body).status_code == 422


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 100_000, b'{"name":"\xff"}', b'{"name":"a"} x', b'{"name": NaN}']
)
def test_a_body_that_is_not_json_is_a_400(client: StrictClient, body: bytes) -> None:
    assert client.post("/models", data=body, content_type="application/json").status_code == 400


def test_models_are_listed_in_pages(client: StrictClient) -> None:
    for name in ("c", "a", "b"):
        client.post("/models", json={"name": name})
    first = client.get("/models?limit=2").json
    assert [model["name"] for model in first["models"]] == ["a", "b"]
    second = client.get("/models", query_string={"limit": 2, "page_token": first["next_page_token"]}).json
    assert [model["name"] for model in second["models"]] == ["c"]
    assert "next_page_token" not in second


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=1000000000",
        "limit=abc",
        "limit=",
        "page_token=%00",
        "page_token=Li4",
    ],
)
def test_a_page_that_cannot_be_is_a_422(client: StrictClient, query: str) -> None:
    assert client.get(f"/models?{query}").status_code == 422


def test_an_upload_is_a_whole_deployment(client: StrictClient) -> None:
    answer = client.put("/models/iris/versions/1", data=IRIS)
    assert (answer.status_code, answer.headers["Location"]) == (201, "/models/iris/versions/1")
    version = answer.json
    assert (version["model"], version["version"], version["state"], version["format"]) == (
        "iris",
        1,
        "ready",
        "skops",
    )
    assert (version["size"], version["aliases"], version["warnings"]) == (len(IRIS), ["live"], [])
    assert version["digest"].startswith("sha256:")
    assert version["methods"] == ["predict", "predict_proba", "predict_log_proba", "decision_function"]
    assert {"python", "scikit-learn", "numpy"} <= version["environment"].keys()
    assert version["schema"]["classes"] == [0, 1, 2]
    assert client.get("/models/iris/versions/1").json == version


def test_the_server_numbers_what_is_posted(client: StrictClient) -> None:
    client.put_model("iris", IRIS, 7)
    answer = client.post("/models/iris/versions", data=IRIS)
    assert (answer.status_code, answer.headers["Location"], answer.json["aliases"]) == (
        201,
        "/models/iris/versions/8",
        [],
    )
    listed = client.get("/models/iris/versions").json["versions"]
    assert [version["version"] for version in listed] == [7, 8]


@pytest.mark.parametrize(
    "content_type", [None, "application/octet-stream", "application/x-www-form-urlencoded", "text/plain"]
)
def test_an_upload_may_claim_almost_any_type(client: StrictClient, content_type: str | None) -> None:
    assert client.put("/models/iris/versions/1", data=IRIS, content_type=content_type).status_code == 201


def test_an_upload_may_be_a_form(client: StrictClient) -> None:
    form = {"file": (models.io.BytesIO(IRIS), "anything.pkl"), "class_names": "setosa,versicolor,virginica"}
    answer = client.post("/models/iris/versions", data=form)
    assert (answer.status_code, answer.json["class_names"]) == (201, models.SPECIES)
    form = {"file": (models.io.BytesIO(IRIS), "x"), "column_names": '["a", "b, c", "d", "e"]'}
    answer = client.put("/models/iris/versions/2", data=form, content_type="multipart/form-data")
    assert [column["name"] for column in answer.json["schema"]["inputs"]] == ["a", "b, c", "d", "e"]


def test_a_form_without_a_file_is_a_422(client: StrictClient) -> None:
    answer = client.post("/models/iris/versions", data={"model": (models.io.BytesIO(IRIS), "x")})
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/missing-file")


@pytest.mark.parametrize("body", [b"", b"--x\r\nbroken", b"--x--\r\n"])
def test_a_damaged_form_is_refused(client: StrictClient, body: bytes) -> None:
    answer = client.post("/models/iris/versions", data=body, content_type="multipart/form-data; boundary=x")
    assert answer.status_code in (400, 422)


def test_names_come_as_parameters_as_well(client: StrictClient) -> None:
    answer = client.put_model("iris", IRIS, class_names="a,b,c", column_names='["w","x","y","z"]')
    assert answer.json["class_names"] == ["a", "b", "c"]
    assert [column["name"] for column in answer.json["schema"]["inputs"]] == ["w", "x", "y", "z"]


@pytest.mark.parametrize("names", ["a,b", '["a"', "[1,2,3]"])
def test_names_that_do_not_fit_are_a_422_and_nothing_is_stored(
    client: StrictClient, left_behind: Any, names: str
) -> None:
    assert client.put_model("iris", IRIS, class_names=names).status_code == 422
    assert (left_behind(), client.get("/models").json["models"]) == ([], [])


def test_other_bytes_never_replace_a_version(client: StrictClient) -> None:
    assert client.put_model("iris", IRIS).status_code == 201
    assert client.put_model("iris", IRIS).status_code == 200
    refused = client.put_model("iris", LINE)
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/version-exists")
    assert client.get("/models/iris/versions/1/artifact").data == IRIS


def test_an_upload_can_ask_for_a_new_version_only(client: StrictClient) -> None:
    only_new = {"If-None-Match": "*"}
    assert client.put("/models/iris/versions/1", data=IRIS, headers=only_new).status_code == 201
    for data in (IRIS, LINE):
        refused = client.put("/models/iris/versions/1", data=data, headers=only_new)
        assert (refused.status_code, refused.json["type"]) == (412, "/problems/precondition-failed")


def test_a_deleted_number_stays_deleted(client: StrictClient) -> None:
    client.put_model("iris", IRIS)
    client.put_model("iris", LINE, 2)
    assert client.delete("/models/iris/versions/2").status_code == 204
    assert client.delete("/models/iris/versions/2").status_code == 404
    refused = client.put_model("iris", LINE, 2)
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/version-retired")
    client.delete("/models/iris")
    assert client.put_model("iris", IRIS, 1).status_code == 409
    assert client.post("/models/iris/versions", data=IRIS).json["version"] == 3


def test_a_version_that_an_alias_points_to_is_kept(client: StrictClient) -> None:
    client.put_model("iris", IRIS)
    refused = client.delete("/models/iris/versions/1")
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/version-in-use")


def test_json_changes_metadata_and_anything_else_is_an_artifact(client: StrictClient) -> None:
    assert client.put("/models/iris/versions/1", json={"description": "x"}).status_code == 404
    client.put_model("iris", IRIS)
    changed = client.put("/models/iris/versions/1", json={"class_names": models.SPECIES, "tags": ["best"]})
    assert (changed.status_code, changed.json["class_names"], changed.json["tags"]) == (
        200,
        models.SPECIES,
        ["best"],
    )
    cleared = client.put("/models/iris/versions/1", json={"class_names": None})
    assert "class_names" not in cleared.json
    assert client.put("/models/iris/versions/1", json={"digest": "x"}).status_code == 422
    assert client.post("/models/iris/versions", json={"a": 1}).status_code == 415


def test_the_artifact_is_served_with_its_digest_in_whole_and_in_part(client: StrictClient) -> None:
    digest = client.put_model("iris", IRIS).json["digest"]
    url = "/models/iris/versions/1/artifact"
    whole = client.get(url)
    assert (whole.data, whole.headers["ETag"]) == (IRIS, f'"{digest}"')
    part = client.get(url, headers={"Range": "bytes=4-9"})
    assert (part.status_code, part.data) == (206, IRIS[4:10])
    assert part.headers["Content-Range"] == f"bytes 4-9/{len(IRIS)}"
    fresh = client.get(url, headers={"If-None-Match": whole.headers["ETag"]})
    assert (fresh.status_code, fresh.data) == (304, b"")
    assert client.get(url, headers={"Range": f"bytes={len(IRIS)}-"}).status_code == 416
    many = client.get(url, headers={"Range": "bytes=" + ",".join(["0-0"] * 1000)})
    assert many.status_code in (200, 416)
    assert len(many.data) <= len(IRIS)
    assert client.head(url).headers["Content-Length"] == str(len(IRIS))


def test_an_alias_is_made_moved_and_deleted(client: StrictClient) -> None:
    client.put_model("iris", IRIS)
    client.put_model("iris", LINE, 2)
    made = client.put("/models/iris/aliases/test", json={"version": 1})
    assert (made.status_code, made.headers["Location"]) == (201, "/models/iris/aliases/test")
    moved = client.put("/models/iris/aliases/test?version=2&force=true")
    assert (moved.status_code, moved.json["version"]) == (200, 2)
    assert client.get("/models/iris/aliases/test").json.items() <= moved.json.items()
    names = [alias["alias"] for alias in client.get("/models/iris/aliases").json["aliases"]]
    assert names == ["live", "test"]
    assert client.delete("/models/iris/aliases/test").status_code == 204
    assert client.delete("/models/iris/aliases/test").status_code == 404


@pytest.mark.parametrize("version", [0, -1, "1", 1.5, None, 2**31, True])
def test_an_alias_needs_a_version_number(client: StrictClient, version: Any) -> None:
    client.put_model("iris", IRIS)
    assert client.put("/models/iris/aliases/live", json={"version": version}).status_code == 422


def test_an_alias_needs_a_version_that_is_there(client: StrictClient) -> None:
    client.put_model("iris", IRIS)
    assert client.put("/models/iris/aliases/live", json={"version": 9}).status_code == 404
    assert client.put("/models/iris/aliases/live?version=x").status_code == 422
    assert client.put("/models/iris/aliases/live").status_code == 422
    assert client.put("/models/iris/aliases/live", data='{"version": 1}').status_code == 415


def test_changes_are_written_down_with_their_request(client: StrictClient, app: Any) -> None:
    client.put_model("iris", IRIS)
    client.put("/models/iris/aliases/test", json={"version": 1}, headers={"X-Request-Id": "change-7"})
    event = app.catalog.registry.events("iris")[-1]
    assert (event.action, event.actor, event.request_id, event.after) == (
        "move-alias",
        "anonymous",
        "change-7",
        {"version": 1},
    )


@pytest.mark.parametrize("changes", [{"description": "x" * 10_001}, {"tags": ["x" * 70_000]}])
def test_descriptions_and_tags_are_short_enough_to_be_listed(client: StrictClient, changes: Any) -> None:
    client.put_model("line", LINE)
    for answer in (
        client.put("/models/line", json=changes),
        client.put("/models/line/versions/1", json=changes),
        client.post("/models", json={"name": "other", **changes}),
    ):
        assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid-metadata")
