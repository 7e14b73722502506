"""The pool of hosts: who gets one, how many there are, and when they go; with threads for hosts."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from conftest import PATIENCE
from fake_hosts import FakeHost, FakeHosts

from wsgi_service.errors import Busy
from wsgi_service.hosts import frames, keeper
from wsgi_service.hosts import pool as pool_module
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.special_host import Role


@pytest.fixture
def make() -> Iterator[Callable[..., HostPool]]:
    """Makes pools, which are closed after the test."""
    pools: list[HostPool] = []

    def make_one(size: int = 2, most_waiting: int = 24, starts: FakeHosts | None = None) -> HostPool:
        pools.append(HostPool(size, PATIENCE, most_waiting, starts=starts or FakeHosts()))
        pools[-1].start()
        assert pools[-1].wait_ready()
        return pools[-1]

    yield make_one
    for pool in pools:
        pool.close()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that another thread does."""
    for _ in range(int(PATIENCE * 100)):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never held")


def test_one_host_serves_until_requests_wait_and_no_more_than_are_allowed(make: Callable[..., HostPool]) -> None:
    pool = make(size=3)
    assert pool.figures().serving == 1
    with ExitStack() as held:
        pids = {held.enter_context(pool.serving(key, PATIENCE)).pid for key in "abc"}
        assert len(pids) == 3
        assert pool.figures().serving == 3
        with pytest.raises(Busy), pool.serving("d", 0.05):
            pass
    for _ in range(5):
        with pool.serving("a", PATIENCE) as host:
            assert host.pid in pids


def test_hosts_without_work_end_and_one_stays(
    make: Callable[..., HostPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make()
    with pool.apart(Role.READER, PATIENCE), pool.serving("a", PATIENCE), pool.serving("b", PATIENCE):
        monkeypatch.setattr(pool_module, "IDLE", 0.0)
        assert pool.figures().serving == 2
        with pool.apart(Role.SUSPECTS, PATIENCE) as suspects:
            assert suspects.alive
    until(lambda: pool.figures().serving == 1)
    until(lambda: not suspects.alive)
    assert pool.figures().ended == 0
    with pool.apart(Role.SUSPECTS, PATIENCE) as another:
        assert another.pid != suspects.pid


def test_a_pool_that_is_not_needed_rests_until_a_host_is_asked_for(
    make: Callable[..., HostPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    rested = threading.Event()

    class Resting(FakeHosts):
        def rest(self) -> None:
            rested.set()

    pool = make(starts=Resting())
    with pool.serving("a", PATIENCE):
        monkeypatch.setattr(pool_module, "IDLE", -1.0)
        assert not pool.unused
        pool.rest()
    assert pool.ready
    until(lambda: pool.unused)
    pool.rest()
    assert rested.wait(PATIENCE)
    assert pool.figures().serving == 0
    assert pool.ready
    monkeypatch.setattr(pool_module, "IDLE", 60.0)
    assert pool.wait_ready()
    with pool.serving("a", PATIENCE), pool.apart(Role.JUDGE, PATIENCE):
        assert pool.figures().serving == 1
    assert pool.figures().ended == 0


def test_a_host_apart_stays_while_it_is_used(
    make: Callable[..., HostPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "IDLE", -1.0)
    pool = make()
    with pool.apart(Role.CONVERTER, PATIENCE) as at_work:
        for _ in range(3):
            assert at_work.call(frames.Unload("x"), [], PATIENCE)[0] == frames.Done()
        assert at_work.alive
    until(lambda: not at_work.alive)


def test_where_starting_takes_long_a_host_stands_by_until_uploads_are_judged(
    make: Callable[..., HostPool],
) -> None:
    started: list[FakeHost] = []

    class Counted(FakeHosts):
        def start(self, memory: int) -> FakeHost:
            started.append(super().start(memory))
            return started[-1]

    pool = make(starts=Counted(quick=False))
    until(lambda: len(started) == 2)
    with pool.apart(Role.JUDGE, PATIENCE) as judge:
        pass
    with pool.apart(Role.JUDGE, PATIENCE) as again:
        assert again.pid == judge.pid == started[1].pid
    with pool.serving("a", PATIENCE) as host:
        assert host.pid == started[0].pid
        host.kill()
    with pool.serving("a", PATIENCE) as host:
        assert host.pid == started[2].pid
    assert len(started) == 3


def test_where_starting_takes_no_time_each_upload_has_a_host_of_its_own(make: Callable[..., HostPool]) -> None:
    pool = make()
    judges = []
    for _ in range(3):
        with pool.apart(Role.JUDGE, PATIENCE) as judge:
            judges.append(judge)
    assert len({judge.pid for judge in judges}) == 3
    assert not any(judge.alive for judge in judges)
    assert pool.figures().ended == 0


def test_no_version_takes_the_last_free_host(make: Callable[..., HostPool]) -> None:
    pool = make()
    with pool.serving("greedy", PATIENCE) as first:
        with pytest.raises(Busy), pool.serving("greedy", 0.05):
            pass
        assert pool.figures().serving == 1  # and none is started for that
        with pool.serving("modest", PATIENCE) as second:
            assert first.pid != second.pid


def test_a_pool_of_one_serves_all_in_turn(make: Callable[..., HostPool]) -> None:
    pool = make(size=1)
    for key in ("a", "b", "a"):
        with pool.serving(key, PATIENCE) as host:
            assert host.alive
    assert pool.figures().serving == 1


def test_who_waits_gets_a_host_in_turn_except_for_the_last_one_of_a_greedy_version(
    make: Callable[..., HostPool],
) -> None:
    pool = make()
    got: list[str] = []
    threads = []

    def wait(key: str) -> None:
        with pool.serving(key, PATIENCE):
            got.append(key)

    with pool.serving("greedy", PATIENCE):
        with pool.serving("other", PATIENCE):
            for number, key in enumerate(("greedy", "first", "second")):
                threads.append(threading.Thread(target=wait, args=(key,)))
                threads[-1].start()
                until(lambda number=number: pool.figures().waiting > number)  # type: ignore[misc]
        for thread in threads[1:]:
            thread.join(PATIENCE)
        assert got == ["first", "second"]
    threads[0].join(PATIENCE)
    assert got == ["first", "second", "greedy"]


def test_whoever_waits_for_a_host_is_told_when_the_pool_is_closed() -> None:
    pool = HostPool(2, startup_limit=PATIENCE, starts=FakeHosts())  # and never started
    told: list[Exception] = []

    def wait() -> None:
        try:
            with pool.serving("line", PATIENCE):
                pass
        except Busy as error:
            told.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: pool.figures().waiting == 1)
    pool.close()
    waiting.join(PATIENCE)
    assert len(told) == 1
    with pytest.raises(Busy), pool.serving("line", PATIENCE):
        pass


def test_the_keeper_outlives_starts_that_fail(
    make: Callable[..., HostPool], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper, "PAUSE", 0.01)
    caplog.set_level(logging.ERROR, pool_module.__name__)
    failures = [OSError("no process to be had")] * 3

    class Failing(FakeHosts):
        def start(self, memory: int) -> FakeHost:
            if failures:
                raise failures.pop()
            return super().start(memory)

    pool = make(starts=Failing())
    assert pool.ready
    assert caplog.text.count("no process to be had") == 3


def test_only_so_many_may_wait_for_one_version(make: Callable[..., HostPool]) -> None:
    pool = make(most_waiting=1)
    with pool.serving("slow", PATIENCE):
        entered = threading.Event()

        def wait() -> None:
            with pool.serving("slow", PATIENCE):
                entered.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        until(lambda: pool.figures().waiting == 1)
        with pytest.raises(Busy, match="waiting already"), pool.serving("slow", PATIENCE):
            pass
        with pool.serving("other", PATIENCE):
            pass
    assert entered.wait(PATIENCE)
    waiting.join(PATIENCE)


def test_a_host_that_died_is_counted_once_and_replaced(make: Callable[..., HostPool]) -> None:
    pool = make()
    with pool.serving("a", PATIENCE) as host:
        host.kill()
    with pool.serving("a", PATIENCE) as another:
        assert another.pid != host.pid
    another.kill()  # while it has nothing to do
    with pool.serving("a", PATIENCE) as third:
        assert third.pid not in {host.pid, another.pid}
    assert pool.figures().ended == 2
