"""Waitress as this service needs it: limits per route, refusals that clients see, and a draining stop.

Everything that reaches into Waitress is here and in `parser.py`; `tests/wsgi_service/test_waitress_contract.py`
holds the attributes that are relied upon.
"""

import gc
import logging
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from types import FrameType
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import build_http_date
from werkzeug.exceptions import HTTPException

from wsgi_service.app import Application
from wsgi_service.at_once import Elsewhere, answering, must_not_wait
from wsgi_service.dispatch import Matches
from wsgi_service.listening import BACKLOG
from wsgi_service.parser import Admission, Parser, Refusal
from wsgi_service.settings import MEGABYTE

log = logging.getLogger(__name__)
access = logging.getLogger("wsgi_service.access")

#: select() on Windows takes 512 sockets and ends the process at one more.
CONNECTION_LIMIT = 480 if sys.platform == "win32" else 1000
#: Bytes of an answer that wait for more of it, until it is whole.
SENT_AT_ONCE = 1 << 16
MAX_HEADER = 256 * 1024
#: Bytes that are read from a connection with one call; a large body comes in fewer turns.
RECEIVED_AT_ONCE = 1 << 17
INBUF_OVERFLOW = 512 * 1024
#: Bytes of a body that may be read and answered before other connections are looked after.
SMALL = 256 * 1024
#: Seconds for which an address is not tried at once again, and how many such addresses are remembered.
SLOW_SECONDS, REMEMBERED = 1.0, 4096
#: How long, and how much, a refused client may go on sending before the connection is closed.
LINGER_SECONDS = 10.0
LINGER_BYTES = 64 * MEGABYTE
HOUSEKEEPING = 2


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    """Answers what the parser refused, as a problem document."""

    def execute(self) -> None:
        refusal = Refusal.of(self.request.error)
        access.info(
            '%s - "%s" %s refused by its headers %s',
            self.channel.addr[0],
            getattr(self.request, "command", "-"),
            refusal.status[:3],
            refusal.request_id,
        )
        self.status = refusal.status
        self.response_headers.extend(refusal.headers)
        self.set_close_on_finish()
        self.content_length = len(refusal.content)
        self.write(refusal.content)


class _Task(WSGITask):  # type: ignore[misc]
    """One request. The head of its answer goes out together with the body, if that is small."""

    def finish(self) -> None:
        super().finish()
        self.channel.send_now()

    def build_response_header(self) -> bytes:
        """The head of the answer; most have a length and keep the connection, and need nothing else."""
        names = {name for name, _ in self.response_headers}
        kept = not self.close_on_finish and "CONNECTION" not in self.request.headers
        usual = kept and self.version == "1.1" and self.has_body and "Content-Length" in names
        if not usual or names & {"Date", "Server", "Transfer-Encoding"}:
            return bytes(super().build_response_header())
        lines = [f"HTTP/1.1 {self.status}", *(f"{name}: {value}" for name, value in self.response_headers)]
        return "\r\n".join([*lines, f"Date: {_date(int(self.start_time))}", "\r\n"]).encode("latin-1")


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    """How a second is written in a Date (RFC 9110, section 5.6.7)."""
    return str(build_http_date(second))


class _Channel(HTTPChannel):  # type: ignore[misc]
    """One connection. After a refusal it goes on reading for a while, and forgets what it reads.

    Closing at once would reset the connection, and a client that is still sending would never see the answer.
    """

    parser_class = Parser
    task_class = _Task
    error_task_class = _ErrorTask
    refused = False
    lingering_since: float | None = None
    discarded = 0
    #: Whether the request that has just arrived is to be answered by the thread that read it.
    at_once = False

    def send_now(self) -> None:
        """Send what has been written, from the thread that wrote it, as far as the connection takes it."""
        with self.outbuf_lock:
            self._flush_exception(self._flush_some, do_close=False)

    def service(self) -> None:
        if self.requests and self.requests[0].error:
            self.refused = True
        super().service()

    def received(self, data: bytes) -> bool:
        """Take what arrived; what can be answered at once is answered before others are looked after."""
        took = bool(super().received(data))
        if self.at_once:
            self.at_once = False
            self._answer_at_once()
        return took

    def _answer_at_once(self) -> None:
        request = self.requests[0]
        try:
            with answering():
                self.service()
        except Elsewhere as error:
            request.get_body_stream().seek(0)
            self.server.answer_elsewhere(self, request.path if error.lasting else None)

    def readable(self) -> bool:
        return self.lingering_since is not None or bool(super().readable())

    def writable(self) -> bool:
        if self.lingering_since is not None or (self.requests and self.total_outbufs_len < SENT_AT_ONCE):
            return False  # whoever writes an answer sends it, and to look whether it could be sent would only spin
        return bool(super().writable())

    def handle_write(self) -> None:
        if self.requests:  # else it would wait for more of an answer that is whole, and spin
            self._flush_exception(self._flush_some_if_lockable)
        super().handle_write()

    def handle_read(self) -> None:
        if self.lingering_since is None:
            super().handle_read()
            return
        try:
            data = self.recv(self.adj.recv_bytes)
        except OSError:
            data = b""
        self.discarded += len(data)
        if not data or self.discarded > LINGER_BYTES or self.lingered_enough(time.time()):
            super().handle_close()

    def handle_close(self) -> None:
        if not self.refused or self.lingering_since is not None or not self.connected:
            super().handle_close()
            return
        self.lingering_since = time.time()
        self.will_close = False
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            super().handle_close()

    def lingered_enough(self, now: float) -> bool:
        return self.lingering_since is not None and now - self.lingering_since > LINGER_SECONDS


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Serves an application on a bound socket until it is told to stop, then finishes what is under way.

    Args:
        app: the application.
        listener: from `listening.bind`; it is closed with the server.
    """

    channel_class = _Channel

    def __init__(self, app: Application, listener: socket.socket) -> None:
        self._app = app
        self._drain_deadline = app.settings.drain_deadline
        self._matches = Matches(app.url_map)
        #: Address -> until when requests for it are not tried at once, since the last one had to wait.
        self._slow: dict[str, float] = {}
        self._loop_thread = threading.get_ident()
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(app.settings.threads)
        sockinfo = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            app, map={}, _sock=listener, dispatcher=dispatcher, adj=_adjustments(app), sockinfo=sockinfo,
            bind_socket=False,
        )  # fmt: skip

    def add_task(self, channel: _Channel) -> None:
        """Have a request answered: by this thread if it need not wait for anything, else by another."""
        if self._may_be_quick(channel.requests[0]):
            channel.at_once = True
        else:
            super().add_task(channel)

    def answer_elsewhere(self, channel: _Channel, path: str | None) -> None:
        """Have a request answered by a thread that may wait, and for a while all others for the same address."""
        if path is not None:
            if len(self._slow) >= REMEMBERED:
                self._slow.clear()
            self._slow[path] = time.monotonic() + SLOW_SECONDS
        super().add_task(channel)

    def _may_be_quick(self, request: Any) -> bool:
        """Whether a request that has arrived is small, and for an endpoint that often need not wait."""
        if request.error or request.chunked or request.content_length > SMALL or must_not_wait():
            return False
        if threading.get_ident() != self._loop_thread:
            return False
        try:
            route, _ = self._matches.find(request.path, request.command)
        except HTTPException:
            return False
        if self._app.slots.full(route.work):
            return True  # to refuse it takes less than to wake a thread for that
        return getattr(route.call, "at_once", False) and self._slow.get(request.path, 0.0) <= time.monotonic()

    def pull_trigger(self) -> None:
        """Wake the thread that looks after the connections, unless it is the one that calls."""
        if not must_not_wait():
            super().pull_trigger()

    def set_reuse_addr(self) -> None:
        """Nothing: `listening.bind` has set what the system needs, and on Windows this would undo it."""

    def maintenance(self, now: float) -> None:
        """Close connections that have idled, or lingered, for too long."""
        super().maintenance(now)
        for channel in list(self.active_channels.values()):
            if channel.lingered_enough(now):
                HTTPChannel.handle_close(channel)

    def run(self) -> None:
        """Serve until `stop` is called, then drain."""
        self._loop_thread = threading.get_ident()
        while not self._app.draining.is_set():
            self._turn()
        log.info("stopping: %d requests under way", self._under_way())
        self._turn(0)  # whoever has connected already is still served
        self.accepting = False
        wasyncore.dispatcher.close(self)  # and not the trigger, which wakes the loop until the end
        deadline = time.monotonic() + self._drain_deadline
        while self._under_way() and time.monotonic() < deadline:
            self._turn(0.05)
        self.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map)

    def stop(self) -> None:
        """Take no more connections and end when what is under way is answered. Safe in a signal handler."""
        self._app.draining.set()
        self.pull_trigger()

    def _turn(self, timeout: float = 1.0) -> None:
        wasyncore.loop(timeout=timeout, map=self._map, use_poll=hasattr(select, "poll"), count=1)

    def _under_way(self) -> int:
        """Requests that have begun to arrive and whose answers have not been sent in full."""
        return sum(
            1
            for channel in list(self.active_channels.values())
            if channel.request or channel.requests or channel.total_outbufs_len
        )


def serve(app: Application, listener: socket.socket, announce: Callable[[Callable[[], None]], None]) -> None:
    """Start the application's hosts, serve, and stop cleanly on SIGINT, SIGTERM or SIGBREAK.

    Args:
        app: the application.
        listener: a bound socket.
        announce: is called when it serves, with a function that has it stop.
    """
    server = Server(app, listener)
    _on_stop_signals(server.stop, app.draining.is_set)
    app.start()
    gc.freeze()  # collections need not look at the modules and at what was made from settings, ever
    try:
        announce(server.stop)
        server.run()
    finally:
        app.close()


def _on_stop_signals(stop: Callable[[], None], stopped: Callable[[], bool]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if not stopped():  # a second signal may come in the middle of the first one's work
            stop()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if number := getattr(signal, name, None):
            signal.signal(number, handle)


def _adjustments(app: Application) -> Any:
    settings = app.settings
    adjustments = Adjustments(
        threads=settings.threads,
        ident=None,
        connection_limit=CONNECTION_LIMIT,
        backlog=BACKLOG,
        max_request_header_size=MAX_HEADER,
        max_request_body_size=MEGABYTE + 1,
        inbuf_overflow=INBUF_OVERFLOW,
        recv_bytes=RECEIVED_AT_ONCE,
        channel_request_lookahead=1,  # else nobody would notice that a client has gone while it is served
        cleanup_interval=HOUSEKEEPING,
        channel_timeout=60,
        clear_untrusted_proxy_headers=True,
        log_socket_errors=False,
    )
    adjustments.send_bytes = SENT_AT_ONCE  # as an argument it warns that a later Waitress will not have it
    adjustments.admission = Admission(app)
    return adjustments
