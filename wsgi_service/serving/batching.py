"""Joins the rows of requests that wait for the same thing, without holding any of them up.

Whoever comes first leads: when a host is free for it, it takes along everything that waits by then and makes one
call for all of them. What comes meanwhile waits, and the first of these leads next. So a request that is alone is
never delayed, and the busier a version is, the more rows go in a call.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

import numpy as np

from wsgi_service.at_once import Deferred, Turn
from wsgi_service.errors import TOO_LONG, TOO_MANY, Busy, DeadlineExceeded
from wsgi_service.rows.tables import Cells, Table
from wsgi_service.serving.tickets import Posted, Results, State, Ticket, Waiting
from wsgi_service.serving.wanted import ALWAYS, Wanted

#: Rows in a joined call; a request with more of them goes alone.
MOST_ROWS = 2048
#: Requests that wait for one thing, and how many of them are joined: each can be asked alone if the call fails.
MOST_WAITING, MOST_JOINED = 256, 24
#: Of the time that is left to the first request, how much a joined call is expected to take at the most.
SHARE = 0.5
#: Things of which it is known how long a row takes; then it begins anew.
PACES = 1000


class Joined(NamedTuple):
    """What a host is asked for: a table, until when (of the monotonic clock), and for how many requests."""

    table: Table
    until: float
    requests: int


Take = Callable[[], Joined]
Replied = TypeVar("Replied")


class Caller(NamedTuple, Generic[Replied]):
    """How a request has a joined call made.

    Attributes:
        until: when (of the monotonic clock) an answer comes too late.
        begin: when the call must have begun, so that there is the time to compute.
        call: waits for a host, takes the joined table then, and makes the call.
        read: the results from what `call` gave; meanwhile the next call can begin.
    """

    until: float
    call: Callable[[Take], Replied]
    read: Callable[[Replied], Results]
    begin: float = math.inf

    def hindered(self, error: Exception) -> "Caller[Replied]":
        """The same, but it only raises."""

        def call(_: Take) -> Replied:
            raise error

        return self._replace(call=call)


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

    @property
    def waiting(self) -> int:
        """Requests that wait to be in a call."""
        with self._lock:
            return sum(len(queue.waiting) for queue in self._queues.values())

    def ask(
        self,
        key: Hashable,
        table: Table,
        caller: Caller[Replied],
        wanted: Wanted = ALWAYS,
    ) -> Results | None:
        """The results for a table; None if the joined call failed, and this table is to be asked for alone.

        Args:
            key: of what is asked for; only tables of one `signature` may have the same.
            table: of at most MOST_ROWS rows.
            caller: makes the call, if it is for this request to do so.
            wanted: whether somebody still waits; what is not wanted any more is not computed.

        Raises:
            Busy: too many wait, or it waited for too long.
            DeadlineExceeded: the answer comes too late.
            TooLate, NotWanted: it is not wanted any more.
        """
        ticket = Waiting(table, caller.begin, caller.until, wanted)
        self._enter(key, ticket)
        if ticket.state is not State.LEADING and not ticket.wait():
            self._leave(key, ticket)
        if ticket.state is State.LEADING:
            return self._lead(key, ticket, caller)
        return ticket.outcome()

    def post(
        self,
        key: Hashable,
        table: Table,
        caller: Caller[Replied],
        wanted: Wanted,
        turn: Turn,
    ) -> NoReturn:
        """`ask` for a thread that must not wait: its request is put off, and finds a ticket with the outcome.

        Raises:
            Deferred: the request goes on when there is an outcome.
            Busy: too many wait.
        """

        def lead(ticket: Posted, hindered: Exception | None) -> Results | None:
            return self._lead(key, ticket, caller.hindered(hindered) if hindered else caller)

        ticket = Posted(table, caller.begin, caller.until, wanted, turn, lead)
        self._enter(key, ticket)
        if ticket.state is State.LEADING:
            ticket.tell()
        raise Deferred

    def _enter(self, key: Hashable, ticket: Ticket) -> None:
        with self._lock:
            queue = self._queues.setdefault(key, _Queue())
            if queue.leaders < self._most_leaders:
                queue.leaders += 1
                ticket.state = State.LEADING
            elif len(queue.waiting) >= MOST_WAITING:
                raise Busy(TOO_MANY)
            else:
                queue.waiting.append(ticket)

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

    def _lead(self, key: Hashable, ticket: Ticket, caller: Caller[Replied]) -> Results | None:
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
                reply = caller.call(take)
                self._note_pace(key, (time.monotonic() - began) / sum(one.table.rows for one in tickets))
            finally:
                self._pass_on(key)
            results = caller.read(reply)
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
            while waiting and waiting[0].table.rows <= room and len(taken) < MOST_JOINED - 1:
                ticket = waiting.popleft()
                if _given_up(ticket):
                    continue
                ticket.state = State.TAKEN
                room -= ticket.table.rows
                taken.append(ticket)
        return taken

    def _pass_on(self, key: Hashable) -> None:
        """Let the first one that waits lead."""
        with self._lock:
            queue = self._queues[key]
            while queue.waiting:
                ticket = queue.waiting.popleft()
                if not _given_up(ticket):
                    ticket.become(State.LEADING)
                    return
            queue.leaders -= 1
            if not queue.leaders:
                del self._queues[key]

    def _send_away(self, tickets: Sequence[Ticket], state: State) -> None:
        with self._lock:
            for ticket in tickets:
                if ticket.state is State.TAKEN:  # and its thread still waits
                    ticket.become(state)


def _given_up(ticket: Ticket) -> bool:
    """Whether it makes no sense any more to compute for a ticket that waits, which is told so."""
    if not ticket.wanted.still:
        ticket.become(State.LATE)
        return True
    if time.monotonic() >= ticket.begin:
        ticket.become(State.OVERDUE)
        return True
    return False


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
