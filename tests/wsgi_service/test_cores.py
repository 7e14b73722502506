"""Work that is shared by the threads of a crew, and how many hosts and threads a machine gets."""

import threading

import pytest
from conftest import PATIENCE

from wsgi_service import settings
from wsgi_service.cores import Crew, available
from wsgi_service.settings import Settings


def test_pieces_are_worked_on_at_the_same_time_and_come_back_in_their_order() -> None:
    crew, together = Crew(2), threading.Barrier(3)

    def call(piece: int) -> tuple[int, str]:
        together.wait(PATIENCE)  # which nobody passes who is alone
        return piece, threading.current_thread().name

    found = crew.map(call, range(3))
    assert [piece for piece, _ in found] == [0, 1, 2]
    assert len({name for _, name in found}) == 3


def test_whoever_finds_nobody_idle_does_all_alone() -> None:
    crew, begun, go_on = Crew(1), threading.Semaphore(0), threading.Event()

    def wait(_piece: int) -> None:
        begun.release()
        go_on.wait(PATIENCE)

    first = threading.Thread(target=crew.map, args=(wait, range(2)))
    first.start()
    assert all(begun.acquire(timeout=PATIENCE) for _ in range(2))
    names = crew.map(lambda _piece: threading.current_thread().name, range(20))
    go_on.set()
    first.join(PATIENCE)
    assert set(names) == {threading.current_thread().name}
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
    assert crew._idle == 3


@pytest.mark.parametrize(
    ("cores", "given", "hosts", "threads"),
    [
        (1, {}, 2, 32),
        (2, {}, 2, 32),
        (6, {}, 6, 64),
        (64, {}, 8, 80),
        (12, {"processes": 4}, 3, 40),
        (64, {"hosts": 20}, 20, 176),
        (2, {"hosts": 3, "threads": 9}, 3, 9),
    ],
)
def test_hosts_and_threads_come_from_the_cores_unless_they_are_set(
    monkeypatch: pytest.MonkeyPatch, cores: int, given: dict[str, int], hosts: int, threads: int
) -> None:
    monkeypatch.setattr(settings, "available", lambda: cores)
    chosen = Settings(**given)  # type: ignore[arg-type]
    assert (chosen.serving_hosts, chosen.request_threads) == (hosts, threads)


def test_there_is_a_core_for_this_test() -> None:
    assert available() >= 1
