"""Who may ask: the token, the Host allow-list, and where a server without a token may listen."""

from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import models
import msgspec
import pytest
from conftest import StrictClient

from wsgi_service import settings as settings_module
from wsgi_service.app import create_app
from wsgi_service.hosts.pool import HostPool
from wsgi_service.settings import InvalidSetting, Settings, load

TOKEN = "correct horse battery staple"


@pytest.fixture
def guarded(folder: Path, pool: HostPool) -> Any:
    opened = []

    def make(**changes: Any) -> StrictClient:
        app = create_app(msgspec.structs.replace(Settings(data=str(folder), token=TOKEN), **changes), pool)
        opened.append(app)
        return StrictClient(validator(app))

    yield make
    for app in opened:
        app.catalog.registry.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


CHANGES = [
    ("POST", "/models"), ("PUT", "/models/iris"), ("DELETE", "/models/iris"), ("POST", "/models/iris/versions"),
    ("PUT", "/models/iris/versions/1"), ("DELETE", "/models/iris/versions/1"),
    ("PUT", "/models/iris/aliases/live"),
    ("DELETE", "/models/iris/aliases/live"),
]  # fmt: skip
READS = ["/models", "/models/iris", "/models/iris/versions/1/artifact", "/models/iris/aliases", "/predict"]


@pytest.mark.parametrize(("method", "url"), CHANGES)
def test_every_change_needs_the_token(guarded: Any, method: str, url: str) -> None:
    client = guarded()
    answer = client.open(url, method=method)
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert client.open(url, method=method, headers=bearer(TOKEN)).status_code not in (401, 403)


@pytest.mark.parametrize("url", READS)
def test_reads_need_the_token_only_by_a_setting(guarded: Any, url: str) -> None:
    assert guarded().get(url).status_code != 401
    assert guarded(token_for_reads=True).get(url).status_code == 401
    assert guarded(token_for_reads=True).get(url, headers=bearer(TOKEN)).status_code != 401
    assert guarded(token_for_reads=True).get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer " + "x" * 1_000_000,
        "Bearer \xe9",
        f"Bearer {TOKEN}, x",
    ],
)
def test_anything_but_the_token_is_a_401(guarded: Any, header: str) -> None:
    client = guarded()
    assert client.delete("/models/iris", headers={"Authorization": header}).status_code == 401


def test_the_token_holder_is_named_in_events_and_the_token_is_not(guarded: Any, folder: Path) -> None:
    client = guarded()
    data = models.skops_bytes(models.line())
    assert client.put("/models/line/versions/1", data=data, headers=bearer(TOKEN)).status_code == 201
    registry = create_app(Settings(data=str(folder))).catalog.registry
    assert {event.actor for event in registry.events("line")} == {"token"}
    registry.close()
    assert TOKEN.encode() not in (folder / "registry.db").read_bytes()


def test_hosts_can_be_named(guarded: Any) -> None:
    client = guarded(allowed_hosts="models.example, other.example")
    for host, status in (("models.example", 200), ("localhost", 200), ("evil.example", 421)):
        assert client.get("/healthz", environ_overrides={"HTTP_HOST": host}).status_code == status
    anywhere = guarded(allowed_hosts="*")
    assert anywhere.get("/healthz", environ_overrides={"HTTP_HOST": "evil.example"}).status_code == 200


def test_beyond_this_machine_any_host_is_taken_unless_named(guarded: Any) -> None:
    client = guarded(listen="0.0.0.0:8080")
    assert client.get("/healthz", environ_overrides={"HTTP_HOST": "server.example"}).status_code == 200


@pytest.mark.parametrize("listen", ["0.0.0.0:80", ":8080", "192.168.1.5:80", "[::]:80", "server.example:80"])
def test_other_addresses_need_a_token_or_a_word(listen: str) -> None:
    with pytest.raises(InvalidSetting, match="WSGI_SERVICE_TOKEN"):
        load({}, {"listen": listen})
    assert load({"WSGI_SERVICE_TOKEN": "x"}, {"listen": listen}).listen == listen
    assert load({}, {"listen": listen, "insecure": True}).insecure


@pytest.mark.parametrize("listen", ["127.0.0.1:80", "127.1.2.3:80", "localhost:80", "[::1]:80"])
def test_this_machines_addresses_need_nothing(listen: str) -> None:
    assert load({}, {"listen": listen}).listen == listen


def test_flags_come_before_variables_before_the_platform_before_defaults() -> None:
    environ = {"WSGI_SERVICE_LISTEN": "127.0.0.1:2", "PORT": "3", "WSGI_SERVICE_TOKEN": "x"}
    assert load(environ, {"listen": "127.0.0.1:1"}).listen == "127.0.0.1:1"
    assert load(environ).listen == "127.0.0.1:2"
    assert load({"PORT": "3", "HTTP_PLATFORM_PORT": "4", "WSGI_SERVICE_TOKEN": "x"}).listen == "0.0.0.0:3"
    assert load({"HTTP_PLATFORM_PORT": "4"}).listen == "127.0.0.1:4"
    assert load({}).listen == "127.0.0.1:8080"


@pytest.mark.parametrize(
    "environ",
    [
        {"WSGI_SERVICE_LISTEN": "nowhere"}, {"WSGI_SERVICE_THREADS": "many"}, {"WSGI_SERVICE_THREADS": "4"},
        {"WSGI_SERVICE_PREDICT_DEADLINE": "0"}, {"WSGI_SERVICE_INSECURE": "perhaps"},
        {"WSGI_SERVICE_LOG_LEVEL": "loud"},
        {"PORT": "99999", "WSGI_SERVICE_TOKEN": "x"},
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting) as caught:
        load(environ)
    named = next(iter(environ)).removeprefix(settings_module.PREFIX).lower().replace("port", "listen")
    assert named in str(caught.value).lower()
