"""Requests that wait for a joined call: with a thread that is woken, or without one, to go on later."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any

from wsgi_service.at_once import Turn
from wsgi_service.errors import TOO_LONG, Busy, DeadlineExceeded
from wsgi_service.rows.tables import Table
from wsgi_service.serving.wanted import Wanted

OVERDUE = "The model did not answer in time."

#: The result of each method, as `tables.decode_results` gives it.
Results = list[Any]


class State(Enum):
    """Where a request stands."""

    WAITING = 1
    LEADING = 2
    TAKEN = 3
    ANSWERED = 4
    #: The joined call failed, so each of its requests is asked alone.
    ALONE = 5
    LATE = 6
    #: It has waited for so long that there is not the time left to compute.
    OVERDUE = 7


class Ticket(ABC):
    """A request, which is told when somebody else has changed its state.

    Args:
        table: its rows.
        begin: when (of the monotonic clock) the call for it must have begun.
        until: when an answer comes too late.
        wanted: whether somebody still waits for it.
    """

    def __init__(self, table: Table, begin: float, until: float, wanted: Wanted) -> None:
        self.table = table
        self.begin = begin
        self.until = until
        self.wanted = wanted
        self.state = State.WAITING
        self.results: Results = []

    def become(self, state: State) -> None:
        """Take a new state and tell; once only for a ticket, or once to lead and then once more."""
        self.state = state
        self.tell()

    def outcome(self) -> Results | None:
        """The results, None if the joined call failed. Raises Busy, DeadlineExceeded, TooLate or NotWanted."""
        if self.state is State.OVERDUE:
            raise Busy(TOO_LONG)
        if self.state is State.LATE:
            self.wanted.check()
            raise DeadlineExceeded(OVERDUE)
        return self.results if self.state is State.ANSWERED else None

    @abstractmethod
    def tell(self) -> None:
        """Let the request know its new state; must not wait for anything."""


class Waiting(Ticket):
    """A request whose thread waits."""

    def __init__(self, table: Table, begin: float, until: float, wanted: Wanted) -> None:
        super().__init__(table, begin, until, wanted)
        self._bell = threading.Lock()  # the cheapest thing that a thread can wait for
        self._bell.acquire()

    def tell(self) -> None:
        """Wake the thread."""
        self._bell.release()

    def wait(self) -> bool:
        """Wait for a new state; whether there was one before the deadline, or before the client's own."""
        last = min(self.until, self.wanted.until)
        return self._bell.acquire(timeout=max(0.0, last - time.monotonic()))


class Posted(Ticket):
    """A request without a thread.

    Args:
        table, begin, until, wanted: see `Ticket`.
        turn: in which it was put off.
        lead: makes the joined call if it is for this request to do so, or gives its place up for an error. Gives
            and raises what `Batches.ask` does.
    """

    def __init__(
        self,
        table: Table,
        begin: float,
        until: float,
        wanted: Wanted,
        turn: Turn,
        lead: Callable[["Posted", Exception | None], Results | None],
    ) -> None:
        super().__init__(table, begin, until, wanted)
        self._turn = turn
        self._lead = lead
        self._error: Exception | None = None

    def tell(self) -> None:
        """Have a thread lead, or the request go on."""
        if self.state is State.LEADING:
            self._turn.call(self.lead)
        else:
            self._turn.again(self)

    def lead(self, hindered: Exception | None) -> None:
        """Make the call for this request and all others that wait by then, unless something hinders that."""
        try:
            results = self._lead(self, hindered)
        except Exception as error:  # noqa: BLE001 - it is raised where the request is answered
            self._error = error.with_traceback(None)  # whose frames would hold this ticket in a circle
            self.become(State.LATE)
        else:
            self.results = results or []
            self.become(State.ALONE if results is None else State.ANSWERED)

    def outcome(self) -> Results | None:
        """See `Ticket`; raises what the call raised as well."""
        if self._error is not None:
            raise self._error
        return super().outcome()
