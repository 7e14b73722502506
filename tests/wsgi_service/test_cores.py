"""Work that is shared by the threads of a crew, and how many hosts and threads a machine gets."""

import sys
import threading
from pathlib import Path

import pytest
from conftest import PATIENCE

from model_store import cores, footprint
from model_store.cores import available
from wsgi_service import settings
from wsgi_service.serving.crew import Crew
from wsgi_service.settings import Settings

pytestmark = pytest.mark.system


def test_pieces_are_worked_on_at_the_same_time_and_come_back_in_their_order() -> None:
    crew, together = Crew(2), threading.Barrier(3)

    def call(piece: int) -> tuple[int, int]:
        together.wait(PATIENCE)  # which nobody passes who is alone
        return piece, threading.get_ident()

    found = crew.map(call, range(3))
    assert [piece for piece, _ in found] == [0, 1, 2]
    assert len({thread for _, thread in found}) == 3


def all_work(crew: Crew, size: int) -> bool:
    """Whether all of a crew are idle, and can work together with whoever asks."""
    together = threading.Barrier(size + 1)
    return len(crew.map(lambda _piece: together.wait(PATIENCE), range(size + 1))) == size + 1


def test_whoever_finds_nobody_idle_does_all_alone() -> None:
    crew, begun, go_on = Crew(1), threading.Semaphore(0), threading.Event()

    def wait(_piece: int) -> None:
        begun.release()
        go_on.wait(PATIENCE)

    first = threading.Thread(target=crew.map, args=(wait, range(2)))
    first.start()
    assert all(begun.acquire(timeout=PATIENCE) for _ in range(2))
    threads = crew.map(lambda _piece: threading.get_ident(), range(20))
    go_on.set()
    first.join(PATIENCE)
    assert set(threads) == {threading.get_ident()}
    assert Crew(0).map(str, range(3)) == ["0", "1", "2"]


@pytest.mark.parametrize("wrong", [0, 1, 19])
def test_an_error_ends_the_work_and_is_raised_when_nobody_works_on_it_any_more(wrong: int) -> None:
    crew = Crew(3)

    def call(piece: int) -> int:
        if piece == wrong:
            raise IndexError(f"piece {piece}")
        return piece

    with pytest.raises(IndexError, match=f"piece {wrong}"):
        crew.map(call, range(20))
    assert crew.map(call, range(30, 50)) == list(range(30, 50))
    assert all_work(crew, 3)


@pytest.mark.parametrize(
    ("has", "gigabytes", "given", "hosts", "threads"),
    [
        (1, 64, {}, 2, 32),
        (2, 64, {}, 2, 32),
        (6, 64, {}, 6, 64),
        (6, 17, {}, 4, 48),
        (64, 1, {}, 2, 32),
        (64, 64, {}, 8, 80),
        (12, 64, {"processes": 4}, 3, 40),
        (64, 64, {"hosts": 20}, 20, 176),
        (2, 64, {"hosts": 3, "threads": 9}, 3, 9),
    ],
)
def test_hosts_and_threads_come_from_cores_and_memory_unless_they_are_set(
    monkeypatch: pytest.MonkeyPatch, has: int, gigabytes: int, given: dict[str, int], hosts: int, threads: int
) -> None:
    monkeypatch.setattr(settings, "available", lambda: has)
    monkeypatch.setattr(settings, "machine", lambda: gigabytes << 30)
    chosen = Settings(**given)  # type: ignore[arg-type]
    assert (chosen.serving_hosts, chosen.request_threads) == (hosts, threads)


@pytest.mark.parametrize(
    ("said", "most"), [("max 100000", 1 << 20), ("150000 100000", 2), ("20000 100000", 1), ("", 1 << 20)]
)
def test_a_container_has_the_cores_that_its_quota_is_enough_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, most: int
) -> None:
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "none")
    has = available()
    (tmp_path / "cpu.max").write_text(said, encoding="ascii")
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    assert available() == min(has, most)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_container_has_the_memory_that_it_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(footprint, "LIMIT", tmp_path / "memory.max")
    has = footprint.machine()
    for said, wanted in (("max", has), (str(300 << 20), 300 << 20), (str(1 << 60), has)):
        (tmp_path / "memory.max").write_text(said, encoding="ascii")
        assert footprint.machine() == wanted


def test_where_no_thread_can_be_started_the_work_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    crew = Crew(2)
    monkeypatch.setattr(threading.Thread, "start", fail)
    assert crew.map(str, range(5)) == ["0", "1", "2", "3", "4"]
    monkeypatch.undo()
    assert all_work(crew, 2)
