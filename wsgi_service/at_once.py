"""Answering without waiting: what is over in less time than it takes to wake another thread is done at once.

The thread that reads from all connections may answer a small predict itself. Then it must not wait: whatever would
(a host, the registry, a program that has to be loaded) calls `elsewhere`, and the request begins anew in a thread
that may.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
_thread = threading.local()


class Elsewhere(BaseException):
    """The request is to be answered by a thread that may wait.

    No handler of errors is to take it for one, hence not an Exception.

    Attributes:
        lasting: whether the next request for the same address would fare no better.
    """

    def __init__(self, lasting: bool) -> None:
        super().__init__()
        self.lasting = lasting


def capable(endpoint: Endpoint) -> Endpoint:
    """Declare that an endpoint often need not wait, and says so where it must."""
    endpoint.at_once = True  # type: ignore[attr-defined]
    return endpoint


@contextmanager
def answering() -> Iterator[None]:
    """What is called inside must not wait."""
    _thread.answering = True
    try:
        yield
    finally:
        _thread.answering = False


def must_not_wait() -> bool:
    """Whether this thread has others to look after."""
    return getattr(_thread, "answering", False)


def elsewhere(lasting: bool = True) -> None:
    """Called before waiting. Raises Elsewhere if this thread must not."""
    if must_not_wait():
        raise Elsewhere(lasting)
