"""One connection: what is read from it, the tasks that answer, and which of them need no other thread."""

import contextlib
import logging
import socket
import struct
import sys
import time
from functools import lru_cache, partial
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask as WaitressErrorTask
from waitress.task import WSGITask
from waitress.utilities import build_http_date

from wsgi_service.at_once import Deferred, Elsewhere, Turn, answering, must_not_wait, taking_up
from wsgi_service.monitoring.metrics import BEYOND
from wsgi_service.server.head_cache import Head
from wsgi_service.server.pace import Pace
from wsgi_service.server.parser import Decision, Parser, Refusal, Undecided
from wsgi_service.settings import MEGABYTE

access = logging.getLogger("wsgi_service.access")
log = logging.getLogger(__name__)

#: Bytes of an answer that wait for more of it, until it is whole.
SENT_AT_ONCE = 1 << 16
#: What requests that were refused by their headers are called in metrics.
REFUSED = "refused"
#: How long, and how much, a refused client may go on sending before the connection is closed.
LINGER_SECONDS = 10.0
#: The option SO_LINGER: on, for no time.
RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
LINGER_BYTES = 64 * MEGABYTE


class ErrorTask(WaitressErrorTask):  # type: ignore[misc]
    """Answers what the parser refused, as a problem document."""

    def execute(self) -> None:
        """Write the refusal."""
        refusal = Refusal.of(self.request.error)
        access.info(
            '%s - "%s" %s refused by its headers %s',
            self.request.origin,
            getattr(self.request, "command", "-"),
            refusal.status[:3],
            refusal.request_id,
        )
        self.channel.server.metrics.answered(BEYOND, REFUSED, refusal.status[:3], 0.0)
        self.status = refusal.status
        self.response_headers.extend(refusal.headers)
        self.set_close_on_finish()
        self.content_length = len(refusal.content)
        self.write(refusal.content)


class Task(WSGITask):  # type: ignore[misc]
    """One request. The head of its answer goes out together with the body, if that is small."""

    def finish(self) -> None:
        """Send what is left."""
        super().finish()
        self.channel.send_now()

    def get_environment(self) -> dict[str, Any]:
        """That of an earlier attempt if there was one, with the id of the request and when it began."""
        if self.request.environ is None:
            self.request.environ = self.request.forwarding.apply(self._new_environment())
        kept: dict[str, Any] = self.request.environ
        return kept

    def _new_environment(self) -> dict[str, Any]:
        """The one that Waitress makes; of a head that was read before, with what it had then."""
        head: Head | None = self.request.head
        if head is None:
            return dict(super().get_environment())
        address, port = self.channel.addr[:2]
        own = {
            "REMOTE_ADDR": address, "REMOTE_HOST": address, "REMOTE_PORT": str(port),
            "wsgi.input": self.request.get_body_stream(),
            "waitress.client_disconnected": self.channel.check_client_disconnected,
        }  # fmt: skip
        if head.environ is None:
            made = super().get_environment()
            head.environ = {name: value for name, value in made.items() if name not in own}
        return head.environ | own

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


def _fill(connection: socket.socket, memory: memoryview) -> int:
    """Receive what has come; how many bytes, 0 from a connection that is closed. Raises OSError."""
    came = connection.recv_into(memory)
    with contextlib.suppress(OSError):  # if the connection is broken, that shows when it is read again
        while 0 < came < len(memory) and (more := connection.recv_into(memory[came:])):
            came += more
    return came


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection. After a refusal it goes on reading for a while, and forgets what it reads.

    Closing at once would reset the connection, and a client that is still sending would never see the answer.
    """

    task_class = Task
    error_task_class = ErrorTask
    refused = False
    lingering_since: float | None = None
    discarded = 0
    #: Whether no request has come yet.
    fresh = True
    #: Whether the request that has just arrived is to be answered by the thread that read it.
    at_once = False
    #: The request that is not read on until somebody has decided about its body, and what was decided.
    undecided: Undecided | None = None
    _decision: Decision | None = None

    def __init__(self, server: Any, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:  # noqa: A002 - theirs
        self.pace = Pace(time.monotonic())
        super().__init__(server, sock, addr, adj, map=map)

    def parser_class(self, adjustments: Any) -> Parser:
        """What reads the next request; it decides by the address as well."""
        parser = Parser(adjustments)
        parser.peer, parser.forwarding = self.addr[0], self.server.forwarding
        parser.decision, self._decision = self._decision, None
        return parser

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send as much as the connection takes."""
        count = int(super().send(data, do_close))
        self.pace.sent(count)
        return count

    def is_idle(self) -> bool:
        """Whether nothing is being done for this connection, so that it may be closed for the sake of another."""
        return not (self.requests or self.undecided or self.total_outbufs_len)

    def too_slow(self, now: float) -> str | None:
        """What the client is too slow with, if anything."""
        self.pace.waits_for_client(self.total_outbufs_len > 0, now)
        if self.requests:  # and nothing is read until they are answered
            self.pace.rests(now)
        return self.pace.too_slow(now)

    def send_now(self) -> None:
        """Send what has been written, from the thread that wrote it, as far as the connection takes it."""
        with self.outbuf_lock:
            if self.connected:
                self._flush_exception(self._flush_some, do_close=False)

    def _flush_outbufs_below_high_watermark(self) -> None:
        """Wait until a client has taken most of what was written; but not in the thread that sends it."""
        if not must_not_wait():
            super()._flush_outbufs_below_high_watermark()

    def service(self) -> None:
        """Answer the first of the requests that have arrived."""
        request = self.requests[0]
        if request.error:
            self.refused = True
        if request.found is None or must_not_wait():
            super().service()
        else:
            with taking_up(self._turn(request)):
                super().service()

    def received(self, data: bytes) -> bool:
        """Take what arrived; what can be answered at once is answered before others are looked after."""
        now = time.monotonic()
        self.pace.began(now)
        try:
            took = bool(super().received(data))
        except Undecided as undecided:
            return self._wait_for(undecided)
        if self.request is None:
            self.fresh = False
            self.pace.is_whole()
        elif not (self.fresh or self.request.header_plus.strip() or self.request.headers_finished):
            self.pace.is_whole()  # an empty line behind the last request
        elif self.request.headers_finished:
            self.pace.took(len(data), now)
        if self.at_once:
            self.at_once = False
            self.answer_at_once()
        return took

    def _wait_for(self, undecided: Undecided) -> bool:
        """Read nothing until somebody has decided about the body of the request that has begun."""
        del self.request  # it is read anew
        self.undecided = undecided
        self.fresh = False
        self.pace.rests(time.monotonic())
        self.server.decide(self, undecided.decide)
        return True

    def decided(self, decision: Decision) -> None:
        """Read the request anew, about whose body there is a decision now."""
        undecided, self.undecided = self.undecided, None
        if undecided is None or not self.connected:
            return
        self._decision = decision
        try:
            self.received(undecided.received)
        except Exception:  # noqa: BLE001 - as where it is read; whatever it is, the other connections go on
            self.handle_error()

    def answer_at_once(self) -> None:
        """Answer a request without waiting, or have that done elsewhere or later."""
        request = self.requests[0]
        self.server.watchdog.takes(request)
        try:
            with answering(self._turn(request)):
                self.service()
        except Deferred as deferred:
            request.rest = deferred.rest
        except Elsewhere as error:
            request.get_body_stream().seek(0)
            self.server.answer_elsewhere(self, error)

    def _turn(self, request: Parser) -> Turn:
        server = self.server
        again = partial(server.go_on, self)
        return Turn(server.call_soon, again, request.found, request.rest, server.watchdog.about)

    def go_on(self, found: Any) -> None:
        """Go on with a request that was put off, if its connection was not closed meanwhile."""
        if not self.requests:
            return
        self.server.watchdog.begins()
        self.requests[0].found = found
        try:
            self.answer_at_once()
        except Exception:  # noqa: BLE001 - as where it is read; whatever it is, the other connections go on
            self.handle_error()

    def readable(self) -> bool:
        """Whether the loop is to read."""
        return self.undecided is None and (self.lingering_since is not None or bool(super().readable()))

    def writable(self) -> bool:
        """Whether the loop is to write."""
        if self.lingering_since is not None or (self.requests and self.total_outbufs_len < SENT_AT_ONCE):
            return False  # whoever writes an answer sends it, and to look whether it could be sent would only spin
        return bool(super().writable())

    def handle_write(self) -> None:
        """Write what waits, between two requests or in the middle of a long answer."""
        if self.requests:  # else it would wait for more of an answer that is whole, and spin
            self._flush_exception(self._flush_some_if_lockable)
        super().handle_write()

    def handle_read(self) -> None:
        """Read; of a refused client, to forget it."""
        self.server.watchdog.begins()
        if self.lingering_since is None:
            vacant = self.request.vacant() if self.request is not None else None
            if vacant:
                self._receive_into(vacant)
            else:
                super().handle_read()
            return
        try:
            data = self.recv(self.adj.recv_bytes)
        except OSError:
            data = b""
        self.discarded += len(data)
        if not data or self.discarded > LINGER_BYTES or self.lingered_enough(time.monotonic()):
            super().handle_close()

    def _receive_into(self, vacant: memoryview) -> None:
        """Read what has come of a large body to the place where it stays."""
        try:
            count = _fill(self.socket, vacant)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self.handle_close()
            self.connected = False
            return
        self.last_activity = time.time()
        self.request.filled(count)
        self.pace.took(count, time.monotonic())

    def handle_close(self) -> None:
        """Close, or after a refusal close for writing at first."""
        if not self.refused or self.lingering_since is not None or not self.connected:
            super().handle_close()
            return
        self.lingering_since = time.monotonic()
        self.will_close = False
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            super().handle_close()

    def del_channel(self, map: Any = None) -> None:  # noqa: A002 - theirs
        """Forget the connection, and what came of a body that will not become whole.

        Threads that have answered for it remember it until they answer for another one.
        """
        super().del_channel(map)
        if self.request is not None:
            self.request.close()

    def reset(self) -> None:
        """Close without waiting for the client to take what was sent; the system keeps nothing of it."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            log.debug("the connection is gone already")
        super().handle_close()

    def lingered_enough(self, now: float) -> bool:
        """Whether a refused client has had its time."""
        return self.lingering_since is not None and now - self.lingering_since > LINGER_SECONDS
