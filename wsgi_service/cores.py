"""Processor cores: how many this process may use, and threads that share large work while they have no other."""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def available() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Crew:
    """Threads that help with work which does not hold Python's lock.

    Args:
        size: how many there are.
    """

    def __init__(self, size: int) -> None:
        self._idle = size
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(max(1, size), "crew")

    def map(self, call: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
        """What `call` gives for each piece; whoever is free takes the next one. Raises what a call raises."""
        if len(pieces) == 1:
            return [call(pieces[0])]
        left = deque(enumerate(pieces))
        found: dict[int, Result] = {}

        def work() -> None:
            try:
                while (taken := _next(left)) is not None:
                    index, piece = taken
                    found[index] = call(piece)
            finally:
                left.clear()  # after an error nobody needs the others

        helpers = self._send(work, len(pieces) - 1)
        try:
            work()
        finally:
            wait(helpers)
            with self._lock:
                self._idle += len(helpers)
        for helper in helpers:
            helper.result()
        return [found[index] for index in range(len(pieces))]

    def _send(self, work: Callable[[], None], most: int) -> list["Future[None]"]:
        """Have those work who are idle, but not more of them than there is to do."""
        with self._lock:
            count = min(self._idle, most)
            self._idle -= count
        return [self._threads.submit(work) for _ in range(count)]


def _next(left: "deque[tuple[int, Piece]]") -> tuple[int, Piece] | None:
    try:
        return left.popleft()
    except IndexError:  # another one took the last
        return None
