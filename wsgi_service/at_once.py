"""Answering without waiting: what is over in less time than it takes to wake another thread is done at once.

The thread that reads from all connections may answer a small predict itself. Then it must not wait: whatever would
(a host, the registry, a program that has to be loaded) calls `elsewhere`, and the request begins anew in a thread
that may.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

#: Bytes of a body that are read in no time, whatever it is.
QUICKLY_READ = 16 * 1024
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Result = TypeVar("Result")
_thread = threading.local()


def never() -> bool:
    """What does not happen."""
    return False


class Elsewhere(BaseException):
    """The request is to be answered by a thread that may wait.

    No handler of errors is to take it for one, hence not an Exception.

    Attributes:
        lasting: whether the next request for the same address would fare no better.
        full: whether it would be refused, which takes less than to wake another thread for that.
    """

    def __init__(self, lasting: bool, full: Callable[[], bool] = never) -> None:
        super().__init__()
        self.lasting = lasting
        self.full = full


class Deferred(BaseException):
    """The request waits for something that is made for several, and goes on when that is there.

    Attributes:
        rest: how it goes on; see `resumable`.
    """

    rest: Callable[[], Any]


class Turn(NamedTuple):
    """One attempt at a request by a thread that must not wait.

    Attributes:
        call: has a function called by a thread that may wait, or at once with what keeps it from that.
        again: has the request go on with what it waited for; any thread may call it.
        found: what it waited for; None at the first attempt.
        rest: how it goes on; None at the first attempt.
        about: is told which version the request is for.
    """

    call: Callable[[Callable[[Exception | None], None]], None]
    again: Callable[[Any], None]
    found: Any = None
    rest: Callable[[], Any] | None = None
    about: Callable[[Any], None] = lambda _version: None


def capable(endpoint: Endpoint) -> Endpoint:
    """Declare that an endpoint often need not wait, and says so where it must."""
    endpoint.at_once = True  # type: ignore[attr-defined]
    return endpoint


@contextmanager
def answering(turn: Turn | None = None) -> Iterator[None]:
    """What is called inside must not wait, but may be put off if there is a turn."""
    _thread.answering, _thread.turn = True, turn
    try:
        yield
    finally:
        _thread.answering, _thread.turn = False, None


@contextmanager
def taking_up(turn: Turn) -> Iterator[None]:
    """What is called inside goes on with a request that was put off, in a thread that may wait."""
    _thread.turn = turn
    try:
        yield
    finally:
        _thread.turn = None


def current_turn() -> Turn | None:
    """The attempt that is being made by this thread, if its request may be put off or was."""
    turn: Turn | None = getattr(_thread, "turn", None)
    return turn


def resumable(rest: Callable[[], Result]) -> Result:
    """What `rest` gives. If that is put off, it is called again, and nothing from before it is done again."""
    try:
        return rest()
    except Deferred as deferred:
        deferred.rest = rest
        raise


def must_not_wait() -> bool:
    """Whether this thread has others to look after."""
    return getattr(_thread, "answering", False)


def elsewhere(lasting: bool = True) -> None:
    """Called before waiting. Raises Elsewhere if this thread must not."""
    if must_not_wait():
        raise Elsewhere(lasting)
