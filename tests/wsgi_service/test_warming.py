"""What is live is loaded before anybody asks, and nothing that goes wrong there keeps the server from serving."""

import threading
from pathlib import Path
from typing import Any

import models
import pytest
from conftest import PATIENCE, LiveServer, StrictClient

from model_store.entities import Attribution, Version
from model_store.errors import StorageError
from wsgi_service.app import Application, create_app
from wsgi_service.errors import Busy, ModelCrashed
from wsgi_service.hosts import frames
from wsgi_service.hosts.isolation import starter
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.process import Host
from wsgi_service.serving.warming import MOST, Warming
from wsgi_service.settings import Settings


class Loads:
    """Notes what it is asked to load, and fails for some of it."""

    def __init__(self, errors: dict[str, Exception] | None = None) -> None:
        self.asked: list[tuple[str, int]] = []
        self._errors = errors or {}

    def __call__(self, version: Version, _by: Attribution) -> None:
        self.asked.append((version.model, version.version))
        if version.model in self._errors:
            raise self._errors[version.model]


def ignore(_version: Version) -> None:
    """What is done with a version that has no program."""


@pytest.fixture
def stocked(client: StrictClient, app: Application) -> Application:
    for name in ("a", "b", "c"):
        client.put_model(name, models.line())
        client.put_model(name, models.line(), 2)
    client.put("/models/b/aliases/live", json={"version": 2})
    client.delete("/models/c/aliases/live")
    client.post("/models", json={"name": "d"})
    return app


def test_what_is_live_is_loaded_and_nothing_else(stocked: Application) -> None:
    loads = Loads()
    Warming(stocked.catalog.registry, ignore, loads, lambda: False).run()
    assert loads.asked == [("a", 1), ("b", 2)]


def test_programs_are_made_ready_before_hosts_are_waited_for(stocked: Application) -> None:
    done: list[str] = []
    Warming(
        stocked.catalog.registry,
        lambda version: done.append(f"prepare {version.model}"),
        lambda version, _by: done.append(f"load {version.model}"),
        lambda: False,
    ).run()
    assert done == ["prepare a", "prepare b", "load a", "load b"]


def test_one_that_cannot_be_loaded_does_not_keep_the_next_from_it(stocked: Application) -> None:
    loads = Loads({"a": ModelCrashed("x")})
    Warming(stocked.catalog.registry, ignore, loads, lambda: False).run()
    assert [name for name, _ in loads.asked] == ["a", "b"]


@pytest.mark.parametrize("stopped", [True, False])
def test_it_ends_where_there_is_no_host_or_the_server_stops(stocked: Application, stopped: bool) -> None:
    loads = Loads({"a": Busy("x")})
    Warming(stocked.catalog.registry, ignore, loads, lambda: stopped).run()
    assert loads.asked == ([] if stopped else [("a", 1)])


def test_a_registry_that_cannot_be_asked_ends_it(stocked: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise StorageError("no")

    monkeypatch.setattr(stocked.catalog.registry, "models", broken)
    Warming(stocked.catalog.registry, ignore, Loads(), lambda: False).run()


def test_there_is_an_end_to_what_is_loaded(client: StrictClient, app: Application) -> None:
    data = models.skops_bytes(models.line())
    for number in range(MOST + 2):
        client.put_model(f"m{number:03}", data)
    loads = Loads()
    Warming(app.catalog.registry, ignore, loads, lambda: False).run()
    assert len(loads.asked) == MOST


def test_readiness_waits_for_it(client: StrictClient, app: Application) -> None:
    client.put_model("line", models.line())
    gate, whole = threading.Event(), app.background.warming._load

    def load(version: Version, by: Attribution) -> None:
        assert gate.wait(PATIENCE)
        whole(version, by)

    app.background.warming._load = load
    app.background.warming.start()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["checks"]["models"]) == (503, False)
    gate.set()
    assert app.background.warming._thread is not None
    app.background.warming._thread.join(PATIENCE)
    assert client.get("/readyz").json["checks"]["models"] is True


@pytest.mark.hosts
def test_to_stop_a_server_while_it_loads_is_no_crash_of_a_model(
    folder: Path, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = HostPool(2, startup_limit=PATIENCE, starts=starter(template=template))
    app = create_app(Settings(data=str(folder)), pool)
    pool.start()
    StrictClient(app).put_model("line", models.line())
    loading, whole = threading.Event(), Host.call

    def call(self: Host, request: Any, *more: Any) -> Any:
        if isinstance(request, frames.Load):
            loading.set()
            self._process.wait(PATIENCE)  # until the pool is closed
        return whole(self, request, *more)

    monkeypatch.setattr(Host, "call", call)
    app.background.warming.start()
    assert loading.wait(PATIENCE)
    pool.close()
    assert app.background.warming._thread is not None
    app.background.warming._thread.join(PATIENCE)
    actions = [event.action for event in app.catalog.registry.events("line")]
    assert "crash" not in actions
    app.catalog.registry.close()


def test_a_server_that_starts_again_has_its_models_loaded(start_server: Any) -> None:
    from wsgi_service.client import Client

    first: LiveServer = start_server("--acceleration", "off")
    with Client(first.url) as client:
        client.push(models.line(), "line")
    first.stop()
    second: LiveServer = start_server("--acceleration", "off")
    with Client(second.url, patience=PATIENCE) as client:  # two runs may share the cores
        assert client._remote.get("/readyz")["checks"]["models"] is True  # it asks again while that is a 503
        assert client.predict("line", [[1.0]]).tolist() == pytest.approx([3.0])
