"""An alias moves with proof, says why, and goes back in one call."""

import pickle
from pathlib import Path
from typing import Any

import models
import pytest
import toys
from conftest import StrictClient
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

from wsgi_service.app import create_app
from wsgi_service.hosts.pool import HostPool
from wsgi_service.settings import Settings

ROWS = load_iris().data[[0, 60, 120]].tolist()
LIVE = "/models/iris/aliases/live"
FOREST = RandomForestClassifier(5, random_state=0).fit(*load_iris(return_X_y=True))


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    """A pipeline that is live, and a forest as version 2."""
    client.put_model("iris", models.iris())
    client.put_model("iris", FOREST, 2)
    return client


def statuses(checks: dict[str, Any]) -> dict[str, str]:
    return {check["check"]: check["status"] for check in checks["checks"]}


def live(client: StrictClient) -> int:
    return int(client.get(LIVE).json["version"])


def events(client: StrictClient) -> list[dict[str, Any]]:
    return list(client.get("/models/iris/history").json["events"])


def test_a_version_that_passes_is_switched_to_and_the_report_says_what_was_checked(iris: StrictClient) -> None:
    iris.put("/models/iris/versions/2/examples", json={"instances": ROWS})
    answer = iris.put(LIVE, json={"version": 2, "reason": "better on wet days"})
    assert (answer.status_code, answer.json["version"], live(iris)) == (200, 2, 2)
    report = answer.json["checks"]
    assert statuses(report) == dict.fromkeys(("loads", "examples", "environment"), "passed") | {
        "schema": "warning"
    }
    assert (report["verdict"], report["against"], report["moved"], report["forced"]) == ("warning", 1, True, False)
    event = events(iris)[-1]
    assert (event["action"], event["reason"]) == ("move-alias", "better on wet days")
    assert (event["before"], event["after"]) == ({"version": 1}, {"version": 2})


def test_a_version_without_examples_is_a_warning(iris: StrictClient) -> None:
    report = iris.put(LIVE, json={"version": 2}).json["checks"]
    assert (report["verdict"], statuses(report)["examples"], report["moved"]) == ("warning", "warning", True)


def test_a_version_that_fails_its_examples_is_not_switched_to(iris: StrictClient) -> None:
    iris.put("/models/iris/versions/2/examples", json={"instances": ROWS, "predictions": [0, 1, 0]})
    answer = iris.put(LIVE, json={"version": 2})
    assert (answer.status_code, answer.json["type"], live(iris)) == (409, "/problems/checks-failed", 1)
    report = answer.json["checks"]
    assert (statuses(report)["examples"], report["moved"]) == ("failed", False)
    (examples,) = [check for check in report["checks"] if check["check"] == "examples"]
    assert examples["details"]["first"] == [{"row": 2, "method": "predict", "expected": 0, "answered": 2}]
    assert "1 of 3 examples" in answer.json["detail"]
    assert events(iris)[-1]["action"] == "set-examples"


def test_force_moves_it_anyway_and_history_says_so(iris: StrictClient) -> None:
    iris.put("/models/iris/versions/2/examples", json={"instances": ROWS, "predictions": [0, 1, 0]})
    answer = iris.put(LIVE, json={"version": 2, "force": True, "reason": "the examples are wrong"})
    assert (answer.status_code, answer.json["checks"]["forced"], live(iris)) == (200, True, 2)
    assert events(iris)[-1]["after"] == {"version": 2, "forced": True}


def test_a_dry_run_only_reports(iris: StrictClient) -> None:
    before = events(iris)
    answer = iris.put(f"{LIVE}?dry_run=true", json={"version": 2})
    report = answer.json["checks"]
    assert (answer.status_code, report["dry_run"], report["moved"], live(iris)) == (200, True, False, 1)
    assert events(iris) == before
    iris.put_model("iris", models.line(), 3)
    failed = iris.put(f"{LIVE}?dry_run=true", json={"version": 3})
    assert (failed.status_code, failed.json["checks"]["verdict"]) == (200, "failed")


def test_reports_are_kept_with_the_version(iris: StrictClient) -> None:
    assert iris.get("/models/iris/versions/2/checks").json == {"checks": []}
    dry = iris.put(f"{LIVE}?dry_run=true", json={"version": 2}).json["checks"]
    moved = iris.put(LIVE, json={"version": 2}).json["checks"]
    assert iris.get("/models/iris/versions/2/checks").json == {"checks": [moved, dry]}
    assert iris.get("/models/iris/versions/3/checks").status_code == 404


def test_a_schema_that_breaks_requests_keeps_the_old_version(iris: StrictClient) -> None:
    iris.put_model("iris", models.line(), 3)
    answer = iris.put(LIVE, json={"version": 3})
    assert (answer.status_code, live(iris)) == (409, 1)
    (schema,) = [check for check in answer.json["checks"]["checks"] if check["check"] == "schema"]
    assert {"the column 'x1' was removed", "the method predict_proba is gone"} <= set(schema["details"]["broken"])


def test_a_version_whose_bytes_are_damaged_is_not_switched_to(iris: StrictClient, app: Any) -> None:
    digest = iris.get("/models/iris/versions/2").json["digest"]
    flip(app.catalog.artifacts.path(digest))
    answer = iris.put(LIVE, json={"version": 2, "force": False})
    assert (answer.status_code, statuses(answer.json["checks"])["loads"], live(iris)) == (409, "failed", 1)
    assert iris.get("/models/iris/versions/2").json["state"] == "corrupt"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_quarantined_version_is_not_switched_to(iris: StrictClient, app: Any) -> None:
    from model_store.entities import Attribution, Patience

    version = app.catalog.registry.version("iris", 2)
    app.catalog.registry.note_crash(version, "ModelCrashed", Patience(1), Attribution("test", "test"))
    answer = iris.put(LIVE, json={"version": 2})
    assert (answer.status_code, statuses(answer.json["checks"])["loads"], live(iris)) == (409, "failed", 1)


def test_a_version_that_crashes_on_its_examples_is_not_switched_to(folder: Path, pool: HostPool) -> None:
    """Only a pickle can hold such a model, so the server has to allow them."""
    service = create_app(Settings(data=str(folder), allow_pickle=True), pool)
    client = StrictClient(service)
    try:
        for number in (1, 2):
            client.put_model("moody", pickle.dumps(toys.Moody(number).fit([])), number)
        address = "/models/moody/versions/2/examples"
        assert client.put(address, json={"instances": [[toys.CRASH]]}).status_code == 409
        assert client.put(address, json={"instances": [[1.0]], "predictions": [5.0]}).status_code == 200
        answer = client.put("/models/moody/aliases/live", json={"version": 2})
        assert (answer.status_code, answer.json["type"]) == (409, "/problems/checks-failed")
        assert client.post("/models/moody/predict", json={"instances": [[1.0]]}).json["version"] == 1
    finally:
        service.catalog.registry.close()


def test_an_alias_moves_to_versions_that_are_there(iris: StrictClient) -> None:
    assert iris.put(LIVE, json={"version": 9}).status_code == 404
    assert iris.put("/models/nobody/aliases/live", json={"version": 1}).status_code == 404
    assert iris.put(LIVE, json={"version": 0}).status_code == 422
    assert iris.put(f"{LIVE}?dry_run=maybe", json={"version": 2}).status_code == 422
    assert iris.put(LIVE, json={"version": 2, "reason": "x" * 501}).status_code == 422


def test_an_alias_that_moved_meanwhile_is_checked_again(iris: StrictClient, app: Any, monkeypatch: Any) -> None:
    """What the version is held against is what the alias points to when it moves."""
    from model_store.entities import Attribution
    from model_store.proof import alias_moves

    registry = app.catalog.registry
    iris.put_model("iris", models.iris(), 3)
    moves = iter([3])
    checked = []

    def check_and_move(version: Any, on_drift: Any) -> Any:
        checked.append(registry.alias("iris", "live").version)
        for number in moves:
            registry.set_alias("iris", "live", number, Attribution("other", "other"))
        return switching_check(version, on_drift)

    switching_check = alias_moves.check_environment
    monkeypatch.setattr(alias_moves, "check_environment", check_and_move)
    answer = iris.put(LIVE, json={"version": 2})
    assert (answer.status_code, checked, answer.json["checks"]["against"]) == (200, [1, 3], 3)


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("dryrun=true", {"version": 2}),
        ("dry-run=1", {"version": 2}),
        ("dry_run=false&dry_run=true", {"version": 2}),
        ("version=2", {"version": 2}),
        ("force=true", {"version": 2}),
        ("reason=x", {"version": 2}),
        ("version=2", None),
    ],
)
def test_what_is_not_understood_never_moves_an_alias(iris: StrictClient, query: str, body: Any) -> None:
    answer = iris.put(f"{LIVE}?{query}", json=body) if body else iris.put(f"{LIVE}?{query}", data=b"garbage{{{")
    assert (answer.status_code in {400, 415, 422}, live(iris)) == (True, 1)


def test_moving_to_where_it_points_already_moves_nothing(iris: StrictClient) -> None:
    before = events(iris)
    answer = iris.put(LIVE, json={"version": 1})
    assert (answer.status_code, answer.json["checks"]["moved"]) == (200, False)
    assert events(iris) == before


def test_a_roll_back_is_not_kept_out_by_predicts(iris: StrictClient, app: Any) -> None:
    """All slots for heavy work are taken, as under overload."""
    from wsgi_service.routes import Work

    iris.put(LIVE, json={"version": 2})
    while not app.slots.full(Work.PREDICT):
        app.slots.take(Work.PREDICT)
    assert iris.put(LIVE, json={"version": 1}).status_code == 503
    assert iris.post(f"{LIVE}/rollback").json["to"] == 1


def test_the_tag_of_a_roll_back_is_of_the_alias_that_it_made(iris: StrictClient, app: Any) -> None:
    """Even if somebody moves it before the answer is written."""
    from model_store.entities import Attribution

    iris.put(LIVE, json={"version": 2})
    registry, moves = app.catalog.registry, iter([2])

    def move_at_once() -> None:
        for number in moves:
            registry.set_alias("iris", "live", number, Attribution("other", "other"))

    registry.subscribe(move_at_once)
    answer = iris.post(f"{LIVE}/rollback")
    assert (answer.json["to"], live(iris)) == (1, 2)
    assert iris.put(LIVE, json={"version": 1}, headers={"If-Match": answer.headers["ETag"]}).status_code == 412


def test_roll_back_says_from_where_to_where(iris: StrictClient) -> None:
    iris.put(LIVE, json={"version": 2})
    answer = iris.post(f"{LIVE}/rollback", json={"reason": "it was worse"})
    assert answer.status_code == 200
    assert (answer.json["from"], answer.json["to"], live(iris)) == (2, 1, 1)
    event = events(iris)[-1]
    assert (event["action"], event["reason"]) == ("roll-back", "it was worse")
    none_left = iris.post(f"{LIVE}/rollback")
    assert (none_left.status_code, none_left.json["type"]) == (409, "/problems/nothing-before")


def test_a_retried_roll_back_that_says_from_where_goes_back_once(iris: StrictClient) -> None:
    iris.put_model("iris", FOREST, 3)
    iris.put(LIVE, json={"version": 2})
    iris.put(LIVE, json={"version": 3})
    assert iris.post(f"{LIVE}/rollback", json={"from": 3}).json["to"] == 2
    again = iris.post(f"{LIVE}/rollback", json={"from": 3})
    assert (again.status_code, again.json["type"], live(iris)) == (409, "/problems/alias-moved", 2)
    assert iris.post(f"{LIVE}/rollback?from=3", json={"reason": "x"}).status_code == 422
    assert iris.post(f"{LIVE}/rollback?from=2").json["to"] == 1


def test_roll_back_goes_to_a_version_that_fails_its_examples(iris: StrictClient) -> None:
    iris.put(LIVE, json={"version": 2})
    iris.put("/models/iris/versions/1/examples", json={"instances": ROWS, "predictions": [2, 2, 2]})
    assert iris.post(f"{LIVE}/rollback").json["to"] == 1


def test_roll_back_asks_that_the_version_loads_with_its_digest(iris: StrictClient, app: Any) -> None:
    iris.put(LIVE, json={"version": 2})
    flip(app.catalog.artifacts.path(iris.get("/models/iris/versions/1").json["digest"]))
    answer = iris.post(f"{LIVE}/rollback")
    assert (answer.status_code, answer.json["type"], live(iris)) == (409, "/problems/rehearsal-failed", 2)
    assert "Version 1 cannot take over again" in answer.json["detail"]


def test_roll_back_of_what_is_not_there_is_not_found(iris: StrictClient) -> None:
    assert iris.post("/models/iris/aliases/test/rollback").status_code == 404
    assert iris.post("/models/nobody/aliases/live/rollback").status_code == 404


def test_history_is_a_chain_in_pages_that_outlives_its_model(iris: StrictClient) -> None:
    iris.put(LIVE, json={"version": 2})
    iris.put("/models/iris/versions/1?reason=typo", json={"description": "x"})
    assert events(iris)[-1]["reason"] == "typo"
    iris.delete("/models/iris?reason=the+end")
    told = events(iris)
    assert [event["previous"] for event in told[1:]] == [event["hash"] for event in told[:-1]]
    assert (told[0]["action"], told[-1]["action"], told[-1]["reason"]) == (
        "create-model",
        "delete-model",
        "the end",
    )
    first = iris.get("/models/iris/history?limit=2").json
    assert first["events"] == told[:2]
    rest = iris.get(f"/models/iris/history?page_token={first['next_page_token']}").json
    assert rest == {"events": told[2:]}
    for query in ("", "?page_token=5"):
        assert iris.get(f"/models/nobody/history{query}").status_code == 404
    assert iris.get("/models/iris/history?limit=0").status_code == 422
    assert iris.get("/models/iris/history?page_token=x").status_code == 422


def test_a_model_of_another_release_warns_and_never_stands_in_the_way_of_going_back(client: StrictClient) -> None:
    client.put_model("iris", of_release("1.7.0", LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])))
    client.put_model("iris", models.line(), 2)
    version = client.get("/models/iris/versions/1").json
    assert version["fitted"]["scikit-learn"] == "1.7.0"
    assert version["warnings"][0].startswith("Fitted with scikit-learn 1.7.0, served with ")
    assert client.get("/models/iris/versions/2").json["fitted"].keys() == {"scikit-learn", "skops"}
    assert client.get("/models/iris/versions/2").json["warnings"] == []
    client.put(LIVE, json={"version": 2})
    report = client.put(f"{LIVE}?dry_run=1", json={"version": 1}).json["checks"]
    assert statuses(report)["environment"] == "warning"
    assert client.post(f"{LIVE}/rollback").json["to"] == 1


def of_release(release: str, estimator: Any) -> bytes:
    def edit(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["_sklearn_version"]["content"] = f'"{release}"'

    return models.edited(models.skops_bytes(estimator), edit)


def test_an_operator_can_refuse_or_allow_drift(folder: Path, pool: Any) -> None:
    old = of_release("1.7.0", models.line())
    for on_drift, warned in (("allow", 0), ("warn", 1)):
        service = create_app(Settings(data=str(folder), on_drift=on_drift), pool)  # type: ignore[arg-type]
        client = StrictClient(service)
        client.put_model("iris", old)
        assert len(client.get("/models/iris/versions/1").json["warnings"]) == warned
        service.catalog.registry.close()
    service = create_app(Settings(data=str(folder), on_drift="refuse"), pool)
    client = StrictClient(service)
    refused = client.put_model("iris", old, 2)
    assert (refused.status_code, refused.json["type"]) == (422, "/problems/environment-drift")
    answer = client.put("/models/iris/aliases/test", json={"version": 1})
    assert (answer.status_code, statuses(answer.json["checks"])["environment"]) == (409, "failed")
    assert client.post("/models/iris/predict", json={"instances": [[1.0]]}).status_code == 200
    assert client.put("/models/iris/aliases/test", json={"version": 1, "force": True}).status_code == 201
    service.catalog.registry.close()
