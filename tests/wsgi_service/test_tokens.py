"""Tokens with scopes: who may do what with which models, until when, and what a wrong one costs."""

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import models
import pytest
from click.testing import CliRunner
from conftest import PATIENCE, LiveServer, StrictClient
from running import until
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from model_store.entities import Attribution
from model_store.tokens import SCOPES, TokenScope, issue
from wsgi_service.access import attempts, sessions
from wsgi_service.access.attempts import Attempts
from wsgi_service.app import Application, create_app
from wsgi_service.cli import group
from wsgi_service.hosts.pool import HostPool
from wsgi_service.http.problems import Problem
from wsgi_service.resources import models as resource
from wsgi_service.routes import Route, Scope, check_declared
from wsgi_service.settings import InvalidSetting, Settings, load

BY = Attribution("ann", "request-1")
OWN = "correct horse battery staple"
ROW = {"instances": [[1.0]]}


@pytest.fixture
def guarded(folder: Path, pool: HostPool) -> Iterator[Application]:
    """A server with a token of its own and the models `line` and `other`."""
    app = create_app(Settings(data=str(folder), token=OWN, acceleration="off"), pool)
    client = StrictClient(validator(app))
    for name in ("line", "other"):
        data = models.skops_bytes(models.line())
        assert client.put(f"/models/{name}/versions/1", data=data, headers=bearer(OWN)).status_code == 201
    yield app
    app.catalog.registry.close()


@pytest.fixture
def client(guarded: Application) -> StrictClient:
    return StrictClient(validator(guarded))


@pytest.fixture
def token(guarded: Application) -> Callable[..., str]:
    """Makes tokens."""

    def make(scope: TokenScope, models: str = "*", expires: str | None = None, name: str = "") -> str:
        made, secret = issue(name, scope, models, expires)
        guarded.catalog.registry.add_token(made, BY)
        return secret

    return make


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def said(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.json["type"].removeprefix("/problems/")


def rules(app: Application) -> Iterator[tuple[str, str, Route]]:
    """Every method and address, with something in the place of what varies."""
    values = {"model": "nothing", "number": 1, "alias": "live", "file": "none.css"}
    for rule in app.url_map.iter_rules():
        _, path = rule.build({name: values[name] for name in rule.arguments}) or ("", "")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, path, rule.endpoint


def test_every_address_takes_exactly_the_scopes_that_it_declares(
    guarded: Application, client: StrictClient, token: Any
) -> None:
    secrets = {scope: token(scope) for scope in SCOPES}
    for method, path, route in rules(guarded):
        needed = route.scope
        for scope, secret in secrets.items():
            enough = needed is Scope.OPEN or SCOPES.index(scope) >= SCOPES.index(needed.value)  # type: ignore[arg-type]
            answer = client.open(path, method=method, headers=bearer(secret))
            refused = answer.status_code == 403
            assert refused is not enough, f"{method} {path} with {scope}: {answer.status}"
        for headers in ({}, bearer("wst_00000000_" + "x" * 43)):
            stranger = {"REMOTE_ADDR": "192.0.2.1"}  # who has to wait before long
            status = client.open(path, method=method, headers=headers, environ_overrides=stranger).status_code
            assert (status in (401, 429)) is (needed is not Scope.OPEN) or path == "/ui/login", f"{method} {path}"


def test_an_address_without_a_scope_does_not_start(guarded: Application) -> None:
    guarded.url_map.add(Rule("/forgotten", endpoint="forgotten"))
    with pytest.raises(TypeError, match="/forgotten"):
        check_declared(guarded.url_map)


def test_a_narrow_scope_is_told_which_one_is_needed(client: StrictClient, token: Any) -> None:
    answer = client.delete("/models/line", headers=bearer(token("write")))
    assert said(answer) == (403, "insufficient-scope")
    assert "'admin'" in answer.json["detail"]
    assert 'error="insufficient_scope", scope="admin"' in answer.headers["WWW-Authenticate"]


def test_the_first_token_closes_the_server_and_its_end_does_not_open_it(
    guarded: Application, client: StrictClient, token: Any
) -> None:
    assert client.post("/models/line/predict", json=ROW).status_code == 200
    secret = token("predict", name="app")
    assert said(client.post("/models/line/predict", json=ROW)) == (401, "unauthorized")
    assert client.post("/models/line/predict", json=ROW, headers=bearer(secret)).status_code == 200
    guarded.catalog.registry.revoke_token("app", BY)
    assert client.post("/models/line/predict", json=ROW, headers=bearer(secret)).status_code == 401
    assert client.get("/models").status_code == 401
    assert client.get("/healthz").status_code == 200


def test_a_token_of_the_registry_ends_and_the_servers_own_does_not(client: StrictClient, token: Any) -> None:
    assert (
        client.get("/models", headers=bearer(token("admin", expires="2020-01-01T00:00:00.000Z"))).status_code
        == 401
    )
    assert (
        client.get("/models", headers=bearer(token("admin", expires="2100-01-01T00:00:00.000Z"))).status_code
        == 200
    )
    assert client.get("/models", headers=bearer(OWN)).status_code == 200


def test_models_outside_a_tokens_pattern_are_not_there(client: StrictClient, token: Any) -> None:
    headers = bearer(token("admin", models="li*"))
    assert [model["name"] for model in client.get("/models", headers=headers).json["models"]] == ["line"]
    assert client.get("/models/line", headers=headers).status_code == 200
    missing = client.get("/models/missing", headers=headers).json["detail"]
    asked = [
        client.get("/models/other", headers=headers),
        client.get("/models/other/versions/1/artifact", headers=headers),
        client.get("/models/other/history", headers=headers),
        client.post("/models/other/predict", json=ROW, headers=headers),
        client.post("/predict", json=ROW | {"model": "other"}, headers=headers),
        client.post("/predict", json=ROW | {"model": "other", "version": 9}, headers=headers),
        client.get("/predict?model=other&x0=1", headers=headers),
        client.put("/models/other/versions/2", data=b"x", headers=headers),
        client.delete("/models/other", headers=headers),
        client.put("/models/other/aliases/live", json={"version": 1}, headers=headers),
    ]
    for answer in asked:
        assert said(answer) == (404, "model-not-found")
        assert answer.json["detail"] == missing.replace("missing", "other")
    assert client.get("/models/other", headers=bearer(OWN)).status_code == 200


def test_a_token_for_some_models_does_not_learn_of_the_only_other_one(client: StrictClient, token: Any) -> None:
    assert client.delete("/models/line", headers=bearer(OWN)).status_code == 204
    headers = bearer(token("predict", models="iris*"))
    for answer in (
        client.post("/predict", json=ROW, headers=headers),
        client.post("/predict", json=ROW | {"version": 1}, headers=headers),
        client.get("/predict?x0=1", headers=headers),
    ):
        assert answer.status_code == 422
        assert "must name one" in answer.json["detail"]
        assert "other" not in answer.text


def test_a_token_for_some_models_makes_no_others_and_sees_no_metrics(client: StrictClient, token: Any) -> None:
    headers = bearer(token("admin", models="li*"))
    assert said(client.post("/models", json={"name": "third"}, headers=headers)) == (403, "outside-token")
    assert client.post("/models", json={"name": "little"}, headers=headers).status_code == 201
    assert said(client.get("/metrics", headers=headers)) == (403, "outside-token")
    assert client.get("/metrics", headers=bearer(token("read"))).status_code == 200


def test_many_models_outside_the_pattern_do_not_shorten_a_page(
    guarded: Application, client: StrictClient, token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "MOST_READ", 2)
    for number in range(7):
        guarded.catalog.create_model(f"a{number}", None, None, BY)
        guarded.catalog.create_model(f"b{number}", None, None, BY)
    headers = bearer(token("read", models="b*"))
    first = client.get("/models?limit=5", headers=headers).json
    assert [model["name"] for model in first["models"]] == [f"b{number}" for number in range(5)]
    second = client.get(f"/models?limit=5&page_token={first['next_page_token']}", headers=headers).json
    assert [model["name"] for model in second["models"]] == ["b5", "b6"]
    assert "next_page_token" not in second


def test_whoever_changes_something_is_named_by_their_token(
    guarded: Application, client: StrictClient, token: Any
) -> None:
    client.put("/models/line", json={"description": "x"}, headers=bearer(token("write", name="deployer")))
    assert guarded.catalog.registry.events("line")[-1].actor == "deployer"


def test_a_page_takes_a_token_and_its_session_ends_with_it(
    guarded: Application, client: StrictClient, token: Any
) -> None:
    secret = token("read", models="line", name="ben")
    assert client.get("/ui").status_code == 401
    answer = client.post("/ui/login", data={"token": secret, "next": "/ui"})
    assert answer.status_code == 303
    flags = answer.headers["Set-Cookie"]
    assert all(word in flags for word in ("HttpOnly", "SameSite=Strict", sessions.COOKIE))
    assert secret not in flags
    page = client.get("/ui")
    assert page.status_code == 200
    assert "line" in page.text
    assert "other" not in page.text
    guarded.catalog.registry.revoke_token("ben", BY)
    assert client.get("/ui").status_code == 401


def test_a_session_cannot_be_made_from_the_database(
    guarded: Application, client: StrictClient, token: Any
) -> None:
    token("admin", name="ann")
    (known,) = guarded.catalog.registry.tokens()
    forged = sessions.Sessions(guarded.settings.folder / "another.key").cookie(known.id, known.digest)
    client.set_cookie(sessions.COOKIE, forged)
    assert client.get("/models").status_code == 401


@pytest.mark.system
def test_the_key_of_sessions_is_the_owners_alone_and_in_no_backup(
    guarded: Application, client: StrictClient, tmp_path: Path
) -> None:
    client.post("/ui/login", data={"token": OWN})
    path = guarded.settings.folder / "session.key"
    assert len(path.read_bytes()) == sessions.KEY_BYTES
    copied = CliRunner().invoke(group, ["backup", str(tmp_path / "copy"), "--data", str(guarded.settings.folder)])
    assert copied.exit_code == 0, copied.output
    assert not (tmp_path / "copy" / "session.key").exists()


def test_an_address_that_tries_too_many_tokens_waits_longer_and_longer() -> None:
    now = [100.0]
    tried = Attempts(lambda: now[0])
    for _ in range(attempts.FREE):
        tried.check("a")
        tried.failed("a")
    waits = []
    for _ in range(9):
        with pytest.raises(Problem) as refused:
            tried.check("a")
        waits.append(int(refused.value.headers["Retry-After"]))
        now[0] += waits[-1]
        tried.check("a")
        tried.failed("a")
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (2, 61)
    tried.check("b")
    now[0] += attempts.LONGEST + 1
    tried.succeeded("a")
    tried.failed("a")
    tried.check("a")


def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MOST_REMEMBERED", 2)
    tried = Attempts(lambda: 100.0)
    for address in ("a", "b", "c"):
        for _ in range(attempts.FREE):
            tried.failed(address)
    tried.check("a")
    with pytest.raises(Problem):
        tried.check("c")


def test_wrong_tokens_are_slowed_down_and_logged_without_what_was_sent(
    client: StrictClient, token: Any, caplog: pytest.LogCaptureFixture
) -> None:
    secret = token("admin")
    with caplog.at_level(logging.DEBUG, "wsgi_service"):
        for _ in range(attempts.FREE):
            assert client.get("/models", headers=bearer("guessed-by-somebody")).status_code == 401
        refused = client.get("/models", headers=bearer(secret))
        page = client.post("/ui/login", data={"token": secret})
    assert said(refused) == (429, "too-many-attempts")
    assert int(refused.headers["Retry-After"]) >= 1
    assert page.status_code == 429
    other = client.get("/models", headers=bearer(secret), environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert other.status_code == 200
    assert "none of this server's" in caplog.text
    assert "guessed-by-somebody" not in caplog.text
    assert secret not in caplog.text


def test_a_server_is_described_as_it_is_secured(client: StrictClient, token: Any) -> None:
    headers = bearer(OWN)
    before = client.get("/openapi.json", headers=headers).json["paths"]
    assert "security" not in before["/predict"]["post"]
    token("read")
    after = client.get("/openapi.json", headers=headers).json["paths"]
    assert after["/predict"]["post"]["security"] == [{"token": []}]
    assert {"401", "403", "429"} <= after["/predict"]["post"]["responses"].keys()
    assert "security" not in after["/healthz"]["get"]


def test_tokens_let_a_server_listen_to_other_machines() -> None:
    with pytest.raises(InvalidSetting, match="token create"):
        load({}, {"listen": "0.0.0.0:80"})
    assert load({}, {"listen": "0.0.0.0:80"}, has_tokens=lambda _folder: True).listen == "0.0.0.0:80"


# The command line


def run(folder: Path, *arguments: str) -> Any:
    return CliRunner().invoke(group, ["token", *arguments, "--data", str(folder)])


def test_a_token_is_shown_once_listed_without_its_secret_and_revoked(folder: Path) -> None:
    made = run(folder, "create", "--scope", "write", "--model", "iris*", "--name", "ci", "--expires", "90d")
    assert made.exit_code == 0, made.output
    secret = made.output.split()[1]
    assert "scope    write: may look, predict, upload and switch" in made.output
    assert "This is the first token" in made.output
    listed = run(folder, "list")
    assert secret not in listed.output
    assert listed.output.splitlines()[1].split()[1:4] == ["ci", "write", "iris*"]
    assert listed.output.splitlines()[1].endswith("active")
    assert "revoked" in run(folder, "revoke", "ci").output
    assert json.loads(run(folder, "list", "--json").output)["tokens"][0]["state"] == "revoked"
    assert "no such token" in run(folder, "revoke", "ci").output
    assert "first token" not in run(folder, "create", "--scope", "read").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scope", "all"], "'all' is not one of"),
        (["--scope", "read", "--model", "Iris/*"], "a model's name, in which"),
        (["--scope", "read", "--name", "Not A Name"], "The token's name is not allowed"),
        (["--scope", "read", "--expires", "soon"], "such as 90d or 12h"),
        (["--scope", "read", "--expires", "2020-01-31"], "This date has passed"),
    ],
)
def test_what_a_token_cannot_be_is_said(folder: Path, arguments: list[str], words: str) -> None:
    refused = run(folder, "create", *arguments)
    assert refused.exit_code != 0
    assert words in " ".join(refused.output.split())


@pytest.mark.system
@pytest.mark.live
def test_a_running_server_hears_of_tokens_that_are_made_and_revoked_beside_it(
    start_server: Any, folder: Path
) -> None:
    server: LiveServer = start_server("--acceleration", "off")
    assert status_of(server.url) == 200
    secret = json.loads(run(folder, "create", "--scope", "read", "--name", "ci", "--json").output)["token"]
    until(lambda: status_of(server.url) == 401)
    assert status_of(server.url, secret) == 200
    run(folder, "revoke", "ci")
    until(lambda: status_of(server.url, secret) == 401)


def status_of(url: str, secret: str = "") -> int:
    request = urllib.request.Request(f"{url}/models", headers=bearer(secret) if secret else {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
