"""Who logs out ends that session for good: for copies of its cookie, in all processes, after a restart."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import StrictClient

from wsgi_service.access import sessions
from wsgi_service.access.sessions import COOKIE, LIFETIME, MARGIN, Sessions
from wsgi_service.app import create_app

TOKEN = "open sesame"


@pytest.fixture
def start(settings: Any, pool: Any) -> Iterator[Any]:
    """A function that gives a process of a server on the same data folder."""
    started = []

    def one() -> StrictClient:
        started.append(create_app(msgspec.structs.replace(settings, token=TOKEN, token_for_reads=True), pool))
        return StrictClient(started[-1], use_cookies=False)

    yield one
    for app in started:
        app.catalog.registry.close()


def log_in(client: StrictClient) -> dict[str, str]:
    answer = client.post("/ui/login", data={"token": TOKEN})
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


def may_read(client: StrictClient, cookie: dict[str, str]) -> bool:
    return client.get("/models", headers=cookie).status_code == 200


def test_a_copied_cookie_is_worthless_after_logout_in_all_processes_and_after_a_restart(start: Any) -> None:
    first, second = start(), start()
    cookie, other_browser = log_in(first), log_in(first)
    assert may_read(first, cookie)
    assert may_read(second, cookie)
    answer = first.post("/ui/logout", data={}, headers=cookie)
    assert (answer.status_code, "Max-Age=0" in answer.headers["Set-Cookie"]) == (303, True)
    for process in (first, second, start()):
        assert not may_read(process, cookie)
        assert may_read(process, other_browser)
        assert may_read(process, log_in(process))


def test_who_has_no_session_ends_none(start: Any, settings: Any) -> None:
    client = start()
    cookie = log_in(client)
    for sent in ({}, {"Cookie": f"{COOKIE}=token.1.x"}, {"Cookie": cookie["Cookie"][:-1]}, {"Cookie": 'a="'}):
        assert client.post("/ui/logout", data={}, headers=sent).status_code == 303
    assert may_read(client, cookie)
    assert not (settings.folder / sessions.ENDED).exists()
    assert (
        client.post("/ui/logout", data={}, headers=cookie | {"Origin": "http://evil.example"}).status_code == 403
    )
    assert may_read(client, cookie)


def test_a_header_with_two_sessions_ends_both(start: Any) -> None:
    client = start()
    one, two = log_in(client), log_in(client)
    both = {"Cookie": f"{one['Cookie']}; {two['Cookie']}"}
    client.post("/ui/logout", data={}, headers=both)
    assert not any(may_read(client, cookie) for cookie in (one, two, both))


def test_where_nothing_can_be_stored_it_is_said_that_the_session_goes_on(start: Any, settings: Any) -> None:
    client = start()
    cookie = log_in(client)
    (settings.folder / sessions.ENDED).write_bytes(b"")
    assert client.post("/ui/logout", data={}, headers=cookie).status_code == 507


def ended(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / sessions.ENDED).iterdir())


def test_records_go_a_day_after_their_sessions_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, now = Sessions(tmp_path / "key"), time.time()
    made.sweep()
    value = made.cookie("ann", "known")
    made.end(value)
    made.sweep()
    assert len(ended(tmp_path)) == 1
    monkeypatch.setattr(sessions.time, "time", lambda: now + LIFETIME + MARGIN - 60)
    made.sweep()
    assert len(ended(tmp_path)) == 1
    monkeypatch.setattr(sessions.time, "time", lambda: now + 60)
    assert not made.verify(value, "known")  # the clock went back
    monkeypatch.setattr(sessions.time, "time", lambda: now + LIFETIME + MARGIN + 60)
    made.sweep()
    assert ended(tmp_path) == []


def test_more_records_than_are_kept_end_all_sessions_of_that_holder_and_none_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_ENDED", 3)
    made, now = Sessions(tmp_path / "key"), time.time()
    values, other = [made.cookie("ann", "known") for _ in range(6)], made.cookie("ben", "known")
    for value in values[:3]:
        made.end(value)
    assert made.verify(values[4], "known")
    made.end(values[3])
    assert [name.partition("-")[0] for name in ended(tmp_path)] == ["all"]
    assert made.verify(other, "known")
    assert not any(Sessions(tmp_path / "key").verify(value, "known") for value in values)
    monkeypatch.setattr(sessions.time, "time", lambda: now + 5)
    assert made.verify(made.cookie("ann", "known"), "known")
    monkeypatch.setattr(sessions.time, "time", lambda: now + LIFETIME + MARGIN + 60)
    made.sweep()
    assert ended(tmp_path) == []


def test_a_session_that_began_in_the_future_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a clock that was ahead for a moment would have made sessions that last for years."""
    made, now = Sessions(tmp_path / "key"), time.time()
    monkeypatch.setattr(sessions.time, "time", lambda: now + 1e8)
    value = made.cookie("ann", "known")
    assert made.verify(value, "known")
    monkeypatch.setattr(sessions.time, "time", lambda: now)
    assert not made.verify(value, "known")
