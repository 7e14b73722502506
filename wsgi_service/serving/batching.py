"""Joins the rows of requests that wait for the same thing, without holding any of them up.

Whoever comes first leads: when a host is free for it, its thread takes along everything that waits by then and
makes one call for all of them. What comes meanwhile waits, and the first of these leads next. So a request that is
alone is never delayed, and the busier a version is, the more rows go in a call.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from typing import Any, NamedTuple, TypeVar

import numpy as np

from wsgi_service.serving.errors import Busy, DeadlineExceeded
from wsgi_service.serving.tables import Cells, Table
from wsgi_service.serving.wanted import ALWAYS, Wanted

#: Rows in a joined call; a request with more of them goes alone.
MOST_ROWS = 2048
#: Of the time that is left to the first request, how much a joined call is expected to take at the most.
SHARE = 0.5
#: Things of which it is known how long a row takes; then it begins anew.
PACES = 1000
TOO_LONG = "Everything that could answer is at work. Try again in a moment."
OVERDUE = "The model did not answer in time."

#: The result of each method, as `tables.decode_results` gives it.
Results = list[Any]


class Joined(NamedTuple):
    """What a host is asked for: a table, until when (of the monotonic clock), and for how many requests."""

    table: Table
    until: float
    requests: int


Take = Callable[[], Joined]
Replied = TypeVar("Replied")


class State(Enum):
    """Where a request stands."""

    WAITING = 1
    LEADING = 2
    TAKEN = 3
    ANSWERED = 4
    #: The joined call failed, so each of its requests is asked alone.
    ALONE = 5
    LATE = 6


class Ticket:
    """A request, whose thread is woken when somebody else has changed its state."""

    def __init__(self, table: Table, until: float, wanted: Wanted) -> None:
        self.table = table
        self.until = until
        self.wanted = wanted
        self.state = State.WAITING
        self.results: Results = []
        self._bell = threading.Lock()  # the cheapest thing that a thread can wait for
        self._bell.acquire()

    def become(self, state: State) -> None:
        """Take a new state and wake the thread; once only for a ticket, or once to lead and then never."""
        self.state = state
        self._bell.release()

    def wait(self) -> bool:
        """Wait for a new state; whether there was one before the deadline, or before the client's own."""
        last = min(self.until, self.wanted.until)
        return self._bell.acquire(timeout=max(0.0, last - time.monotonic()))


class _Queue:
    def __init__(self) -> None:
        self.waiting: deque[Ticket] = deque()
        self.leaders = 0


class Batches:
    """Queues of requests, one for each thing that is asked for.

    Args:
        most_leaders: joined calls for one thing at a time.
    """

    def __init__(self, most_leaders: int) -> None:
        self._most_leaders = most_leaders
        #: Seconds that a row took in the last call for a thing.
        self._paces: dict[Hashable, float] = {}
        self._queues: dict[Hashable, _Queue] = {}
        self._lock = threading.Lock()

    def ask(
        self,
        key: Hashable,
        table: Table,
        until: float,
        call: Callable[[Take], Replied],
        read: Callable[[Replied], Results],
        wanted: Wanted = ALWAYS,
    ) -> Results | None:
        """The results for a table; None if the joined call failed, and this table is to be asked for alone.

        Args:
            key: of what is asked for; only tables of one `signature` may have the same.
            table: of at most MOST_ROWS rows.
            until: when (of the monotonic clock) an answer comes too late.
            call: waits for a host, takes the joined table then, and makes the call.
            read: the results from what `call` gave; meanwhile the next call can begin.
            wanted: whether somebody still waits; what is not wanted any more is not computed.

        Raises:
            Busy: it waited for too long.
            DeadlineExceeded: the answer comes too late.
            TooLate, NotWanted: it is not wanted any more.
        """
        ticket = self._enter(key, Ticket(table, until, wanted))
        if ticket.state is not State.LEADING and not ticket.wait():
            self._leave(key, ticket)
        if ticket.state is State.LEADING:
            return self._lead(key, ticket, call, read)
        if ticket.state is State.LATE:
            wanted.check()
            raise DeadlineExceeded(OVERDUE)
        return ticket.results if ticket.state is State.ANSWERED else None

    def _enter(self, key: Hashable, ticket: Ticket) -> Ticket:
        with self._lock:
            queue = self._queues.setdefault(key, _Queue())
            if queue.leaders < self._most_leaders:
                queue.leaders += 1
                ticket.state = State.LEADING
            else:
                queue.waiting.append(ticket)
        return ticket

    def _leave(self, key: Hashable, ticket: Ticket) -> None:
        """Give up a ticket whose deadline has passed, unless its answer came at the last moment."""
        with self._lock:
            state = ticket.state
            if state is State.WAITING:
                self._queues[key].waiting.remove(ticket)
            elif state is State.TAKEN:
                ticket.state = State.LATE
        if state is State.LEADING:
            self._pass_on(key)
        if state in {State.WAITING, State.LEADING}:
            ticket.wanted.check()
            raise Busy(TOO_LONG)

    def _lead(
        self,
        key: Hashable,
        ticket: Ticket,
        call: Callable[[Take], Replied],
        read: Callable[[Replied], Results],
    ) -> Results | None:
        """Make a call for a ticket and all that wait when a host is free for it."""
        tickets, began = [ticket], time.monotonic()

        def take() -> Joined:
            nonlocal began
            ticket.wanted.check()
            began = time.monotonic()
            tickets.extend(self._take(key, self._room(key, ticket.until - began) - ticket.table.rows))
            return Joined(joined([one.table for one in tickets]), max(one.until for one in tickets), len(tickets))

        try:
            try:
                reply = call(take)
                self._note_pace(key, (time.monotonic() - began) / sum(one.table.rows for one in tickets))
            finally:
                self._pass_on(key)
            results = read(reply)
            parts = split(results, [one.table.rows for one in tickets])
        except BaseException as error:
            self._send_away(tickets[1:], State.LATE if isinstance(error, DeadlineExceeded) else State.ALONE)
            if len(tickets) == 1 or isinstance(error, DeadlineExceeded):
                raise
            return None
        for one, part in zip(tickets[1:], parts[1:], strict=True):
            one.results = part
        self._send_away(tickets[1:], State.ANSWERED)
        return parts[0]

    def _room(self, key: Hashable, left: float) -> int:
        """How many rows a call may have: so many that it is over in time, as far as the last one tells."""
        pace = self._paces.get(key, 0.0)
        return min(MOST_ROWS, int(SHARE * left / pace)) if pace else MOST_ROWS

    def _note_pace(self, key: Hashable, seconds: float) -> None:
        if len(self._paces) >= PACES:
            self._paces.clear()
        self._paces[key] = seconds

    def _take(self, key: Hashable, room: int) -> list[Ticket]:
        """The tickets that wait and are wanted, first come first served, as far as there is room for them."""
        taken: list[Ticket] = []
        with self._lock:
            waiting = self._queues[key].waiting
            while waiting and waiting[0].table.rows <= room:
                ticket = waiting.popleft()
                if not ticket.wanted.still:
                    ticket.become(State.LATE)
                    continue
                ticket.state = State.TAKEN
                room -= ticket.table.rows
                taken.append(ticket)
        return taken

    def _pass_on(self, key: Hashable) -> None:
        """Let the first one that waits lead."""
        with self._lock:
            queue = self._queues[key]
            if queue.waiting:
                queue.waiting.popleft().become(State.LEADING)
                return
            queue.leaders -= 1
            if not queue.leaders:
                del self._queues[key]

    def _send_away(self, tickets: Sequence[Ticket], state: State) -> None:
        with self._lock:
            for ticket in tickets:
                if ticket.state is State.TAKEN:  # and its thread still waits
                    ticket.become(state)


def signature(table: Table) -> Hashable:
    """What two tables must have in common so that a row is the same to an estimator in both, and joined."""
    if table.matrix is not None:
        return int(table.matrix.shape[1])
    return tuple((cells.kind, cells.valid is not None and not cells.valid.all()) for cells in table.columns)


def joined(tables: Sequence[Table]) -> Table:
    """Tables of one signature as a single one, in their order."""
    if len(tables) == 1:
        return tables[0]
    rows = sum(table.rows for table in tables)
    if tables[0].matrix is not None:
        return Table(rows, matrix=np.concatenate([table.matrix for table in tables if table.matrix is not None]))
    return Table(
        rows, columns=[_joined(parts) for parts in zip(*(table.columns for table in tables), strict=True)]
    )


def _joined(parts: Sequence[Cells]) -> Cells:
    first = parts[0]
    values: Any = (
        [value for cells in parts for value in cells.values]
        if isinstance(first.values, list)
        else np.concatenate([cells.values for cells in parts])
    )
    if first.valid is None or first.valid.all():
        return Cells(first.kind, values)
    return Cells(first.kind, values, np.concatenate([cells.valid for cells in parts if cells.valid is not None]))


def split(results: Results, sizes: Sequence[int]) -> list[Results]:
    """The results of a joined table for each of its parts; arrays are views, not copies."""
    ends = np.cumsum(sizes).tolist()
    starts = [0, *ends[:-1]]
    return [[_rows(result, start, end) for result in results] for start, end in zip(starts, ends, strict=True)]


def _rows(result: Any, start: int, end: int) -> Any:
    if isinstance(result, list) and result and isinstance(result[0], np.ndarray):
        return [part[start:end] for part in result]  # one array for each output
    return result[start:end]
