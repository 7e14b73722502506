"""Threads that share large work while they have no other."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Crew:
    """Threads that help with work which does not hold Python's lock.

    Args:
        size: how many there are.
    """

    def __init__(self, size: int) -> None:
        self._idle = threading.Semaphore(size)

    def map(self, call: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
        """What `call` gives for each piece; whoever is free takes the next one. Raises what a call raises."""
        if len(pieces) == 1:
            return [call(pieces[0])]
        left = deque(enumerate(pieces))
        found: dict[int, Result] = {}
        errors: list[BaseException] = []

        def work() -> None:
            try:
                while (taken := _next(left)) is not None:
                    index, piece = taken
                    found[index] = call(piece)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised below
                errors.append(error)
                left.clear()  # nobody needs the others

        helpers = self._send(work, len(pieces) - 1)
        work()
        for helper in helpers:
            helper.join()
            self._idle.release()
        if errors:
            raise errors[0]
        return [found[index] for index in range(len(pieces))]

    def _send(self, work: Callable[[], None], most: int) -> list[threading.Thread]:
        """Have those work who are idle, but not more of them than there is to do."""
        helpers: list[threading.Thread] = []
        while len(helpers) < most and self._idle.acquire(blocking=False):
            helper = threading.Thread(target=work, name="crew", daemon=True)  # a process that ends does not wait
            try:
                helper.start()
            except RuntimeError:  # the system has no thread left
                self._idle.release()
                break
            helpers.append(helper)
        return helpers


def _next(left: "deque[tuple[int, Piece]]") -> tuple[int, Piece] | None:
    try:
        return left.popleft()
    except IndexError:  # another one took the last
        return None
