"""Waitress as this service needs it: limits per route, refusals that clients see, and a draining stop.

Everything that reaches into Waitress is here, in `channel.py` and in `parser.py`;
`tests/wsgi_service/test_waitress_contract.py` holds the attributes that are relied upon.
"""

import errno
import logging
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher
from werkzeug.exceptions import HTTPException

from wsgi_service.access.trusted_proxy import Forwarding
from wsgi_service.app import Application
from wsgi_service.at_once import QUICKLY_READ, Elsewhere, must_not_wait, never
from wsgi_service.dispatch import Matches
from wsgi_service.errors import Busy
from wsgi_service.routes import Work
from wsgi_service.server.adjusting import HOUSEKEEPING, adjustments, connection_limit
from wsgi_service.server.channel import Channel
from wsgi_service.server.parser import Decision
from wsgi_service.server.watchdog import Watchdog

log = logging.getLogger(__name__)
#: What the system says when no more files can be opened, and seconds after which a connection is tried again.
NO_FILES, RETRY = frozenset({errno.EMFILE, errno.ENFILE}), 0.1
#: Bytes of a body that may be read and answered before other connections are looked after.
SMALL = 256 * 1024
#: How the types of bodies begin in which so many bytes are read quickly, if they are numbers.
NUMBERS = ("application/json", "application/x-npy")
#: Seconds for which an address is not tried at once again, and how many such addresses are remembered.
SLOW_SECONDS, REMEMBERED = 1.0, 4096
#: For which a server that is being stopped waits for the first request of who has just connected.
FRESH_SECONDS = 0.25
#: Seconds that waking the loop takes at the most.
RINGING = 1.0
#: Is told that a server serves: a function that has it stop, and one that says how often its loop has turned.
Announce = Callable[[Callable[[], None], Callable[[], int]], None]


class _Call:
    """Has a thread of Waitress's call a function."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.service = function

    def cancel(self) -> None:
        """Nothing is to be done when the server stops before it is called."""


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Serves an application on a bound socket until it is told to stop, then finishes what is under way.

    Args:
        app: the application.
        listener: from `listening.bind`; it is closed with the server.
    """

    channel_class = Channel

    def __init__(self, app: Application, listener: socket.socket) -> None:
        self._app = app
        self._drain_deadline = app.settings.drain_deadline
        self.metrics = app.metrics
        #: Who is believed where a request came from. The Host a proxy has to pass on as it is.
        self.forwarding = Forwarding(app.settings.trusted_proxy)
        self.watchdog = Watchdog(app.metrics.late)
        self._matches = Matches(app.url_map)
        #: Address -> until when requests for it are not tried at once, since the last one had to wait, and whether
        #: they would be refused by now.
        self._slow: dict[str, tuple[float, Callable[[], bool]]] = {}
        self._loop_thread = threading.get_ident()
        #: What is to be called by a thread that may wait, and which requests go on with what they waited for.
        self._calls: deque[Callable[[Exception | None], None]] = deque()
        #: How many such calls are under way, which of them are over, and what waits for the slot of one.
        self._calling, self._turns = 0, 0
        self._finished: deque[object] = deque()
        self._next: deque[Callable[[Exception | None], None]] = deque()
        self._ready: deque[tuple[Channel, Any]] = deque()
        self._decided: deque[tuple[Channel, Decision]] = deque()
        self._rung = self._watch_due = False
        #: By how much the clock that may be set is ahead of the one that only grows.
        self._ahead = time.time() - time.monotonic()
        self._fresh_until = 0.0
        self._most_connections = connection_limit()
        #: Whether no file could be opened for a connection, and until when none is tried.
        self._no_files, self._retry_at = False, 0.0
        #: Connections of addresses that have too many.
        self._turned_away = 0
        #: Set when whoever stops the server has woken the loop, and does not touch the trigger any more.
        self._told = threading.Event()
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(app.settings.request_threads)
        sockinfo = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            app, map={}, _sock=listener, dispatcher=dispatcher, adj=adjustments(app), sockinfo=sockinfo,
            bind_socket=False,
        )  # fmt: skip

    def add_task(self, channel: Channel) -> None:
        """Have a request answered: by this thread if it need not wait for anything, else by another."""
        if self._may_be_quick(channel.requests[0]):
            channel.at_once = True
        else:
            super().add_task(channel)

    def answer_elsewhere(self, channel: Channel, error: Elsewhere) -> None:
        """Have a request answered by a thread that may wait, and for a while all others for the same address."""
        if error.lasting:
            if len(self._slow) >= REMEMBERED:
                self._slow.clear()
            self._slow[channel.requests[0].path] = time.monotonic() + SLOW_SECONDS, error.full
        super().add_task(channel)

    def call_soon(self, function: Callable[[Exception | None], None]) -> None:
        """Have a function called by a thread that may wait, or with what hinders that; asked for by any thread."""
        self._calls.append(function)
        self._ring()

    def go_on(self, channel: Channel, found: Any) -> None:
        """Have a request go on with what it waited for; asked for by any thread."""
        self._ready.append((channel, found))
        self._ring()

    def decide(self, channel: Channel, decide: Callable[[], Decision]) -> None:
        """Have a thread that may wait decide about a body."""

        def call() -> None:
            self._decided.append((channel, decide()))
            self._ring()

        self.task_dispatcher.add_task(_Call(call))

    def _ring(self) -> None:
        """Have the loop look at what was asked for; once is enough until it does."""
        if not self._rung:
            self._rung = True
            self.pull_trigger()

    def _may_be_quick(self, request: Any) -> bool:
        """Whether a request that has arrived is small, and for an endpoint that often need not wait."""
        if request.error or request.chunked or must_not_wait() or request.content_length > _most(request):
            return False
        if threading.get_ident() != self._loop_thread:
            return False
        try:
            route, _ = self._matches.find(request.path, request.command)
        except HTTPException:
            return False
        if self._app.slots.full(route.work):
            return True  # to refuse it takes less than to wake a thread for that
        until, full = self._slow.get(request.path, (0.0, never))
        return getattr(route.call, "at_once", False) and (until <= time.monotonic() or full())

    def pull_trigger(self) -> None:
        """Wake the thread that looks after the connections, unless it is the one that calls."""
        if not must_not_wait():
            super().pull_trigger()

    def accept(self) -> Any:
        """The next connection, None if there is none, or its address has as many as it may have."""
        try:
            accepted = super().accept()
        except OSError as error:
            self._no_files = error.errno in NO_FILES
            raise
        most = self._app.settings.connections_per_address
        if accepted is None or not most or self.forwarding.is_proxy(accepted[1][0]):
            return accepted
        connection, address = accepted
        if sum(channel.addr[0] == address[0] for channel in self.active_channels.values()) < most:
            return accepted
        log.info("%s has %d connections, and gets no other", address[0], most)
        self._turned_away += 1
        connection.close()
        return None

    def _make_room(self) -> None:
        """Close the connection on which nothing has happened for longest, so that whoever comes next gets one."""
        idle = [channel for channel in self.active_channels.values() if channel.is_idle()]
        if idle:
            HTTPChannel.handle_close(min(idle, key=lambda channel: channel.last_activity))
        elif self._no_files:
            self._retry_at = time.monotonic() + RETRY
        self._no_files = False

    def set_reuse_addr(self) -> None:
        """Nothing: `listening.bind` has set what the system needs, and on Windows this would undo it."""

    def readable(self) -> bool:
        """Whether to take connections. Waitress looks after idle ones here, by a clock that may be set."""
        moved = time.time() - time.monotonic() - self._ahead
        if abs(moved) > HOUSEKEEPING:
            self._ahead += moved
            self.next_channel_cleanup += moved
            now = time.time()
            for channel in self.active_channels.values():
                # Some may have been active since the clock was set.
                if abs(channel.last_activity + moved - now) < abs(channel.last_activity - now):
                    channel.last_activity += moved
        return bool(super().readable()) and time.monotonic() >= self._retry_at

    def maintenance(self, now: float) -> None:
        """Have connections closed that have idled for too long; the others are looked at after this turn.

        It is called while the sockets of the turn are gathered: on Windows select() fails if one is closed then.
        """
        super().maintenance(now)
        self._watch_due = True

    def _watch(self) -> None:
        """Close connections that have lingered for too long, or are too slow."""
        self._watch_due = False
        now = time.monotonic()
        for channel in list(self.active_channels.values()):
            slow = channel.too_slow(now)
            if slow is not None:
                log.info("%s was too slow with its %s and is cut off", channel.addr[0], slow)
                channel.reset()
            elif channel.lingered_enough(now):
                HTTPChannel.handle_close(channel)

    def run(self) -> None:
        """Serve until `stop` is called, then drain."""
        self._loop_thread = threading.get_ident()
        self.watchdog.start()
        while not self._app.draining.is_set():
            self._turn()
        log.info("stopping: %d requests under way", self._under_way())
        self._accept_all()
        self._fresh_until = time.monotonic() + FRESH_SECONDS
        self.accepting = False
        wasyncore.dispatcher.close(self)  # and not the trigger, which wakes the loop until the end
        deadline = time.monotonic() + self._drain_deadline
        while self._under_way() and time.monotonic() < deadline:
            self._turn(0.05)
        self.watchdog.stop()
        self.task_dispatcher.shutdown(timeout=1)
        # From here on nobody is to ring: the trigger is closed, and its number may be another's.
        self._rung = True
        self._told.wait(RINGING)
        wasyncore.close_all(self._map)

    def turns(self) -> int:
        """How often the loop has turned, which it does once a second at the least."""
        return self._turns

    def _accept_all(self) -> None:
        """Take all who have connected already: to them, the server was there."""
        while len(self._map) < self._most_connections:
            before = len(self.active_channels), self._turned_away
            self.handle_accept()
            if before == (len(self.active_channels), self._turned_away):
                return

    def stop(self) -> None:
        """Take no more connections and end when what is under way is answered. Safe in a signal handler."""
        if not self._app.draining.is_set():
            self._app.draining.set()
            self.pull_trigger()
            self._told.set()

    def _turn(self, timeout: float = 1.0) -> None:
        """Look after the connections once, then after what other threads have asked for.

        Before a joined call is made, what has arrived by now is read, so that it can be in it.
        """
        self._turns += 1
        calls = len(self._calls)
        if self._no_files or len(self._map) >= self._most_connections:
            self._make_room()
        wasyncore.loop(0.0 if calls else timeout, hasattr(select, "poll"), self._map, count=1)
        self._rung = False
        if self._watch_due:
            self._watch()
        while self._decided:
            channel, decision = self._decided.popleft()
            channel.decided(decision)
        while self._ready:
            channel, found = self._ready.popleft()
            channel.go_on(found)
        for _ in range(calls):
            self._call(self._calls.popleft())
        self._let_go_on()
        self.watchdog.rests()

    def _call(self, function: Callable[[Exception | None], None]) -> None:
        """Have a function called by a thread that may wait, if there is a slot for that, or there will be soon."""
        try:
            self._app.slots.take(Work.PREDICT)
        except Busy as error:
            if self._calling:
                self._next.append(function)
            else:
                function(error)
            return
        self._calling += 1
        self.task_dispatcher.add_task(_Call(partial(self._work, function)))

    def _work(self, function: Callable[[Exception | None], None]) -> None:
        """Call a function, and let those go on that waited for the slot."""
        try:
            function(None)
        finally:
            self._app.slots.give_back(Work.PREDICT)
            self._finished.append(function)
            if self._next:
                self._ring()

    def _let_go_on(self) -> None:
        """Have what waited for a slot called in the next turn, if one came free."""
        while self._finished:
            self._finished.popleft()
            self._calling -= 1
            self._calls.extend(self._next)
            self._next.clear()

    def _under_way(self) -> int:
        """Requests that have begun to arrive and whose answers have not been sent in full.

        Whoever has connected and sent nothing yet may be about to, and for a moment counts as well.
        """
        expected = time.monotonic() < self._fresh_until
        return sum(
            1
            for channel in list(self.active_channels.values())
            if channel.request
            or channel.undecided
            or channel.requests
            or channel.total_outbufs_len
            or (expected and channel.fresh)
        )


def _most(request: Any) -> int:
    """Bytes of a body that are read in no time."""
    if request.content_length <= QUICKLY_READ or request.headers.get("CONTENT_TYPE", "").startswith(NUMBERS):
        return SMALL
    return QUICKLY_READ
