"""Before a body is read: the route's limit, an early refusal, and where the body waits until it is whole."""

import copy
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import FixedStreamReceiver
from waitress.utilities import BadRequest, Error
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from model_store.artifacts.local import disk_error
from model_store.errors import StoreError
from wsgi_service.access.trusted_proxy import Forwarding
from wsgi_service.app import Application
from wsgi_service.at_once import Elsewhere, answering
from wsgi_service.dispatch import Matches
from wsgi_service.http.problems import Problem, problem
from wsgi_service.http.requests import too_large
from wsgi_service.http.responses import NOSNIFF
from wsgi_service.server.chunked import Chunks
from wsgi_service.server.framing import Unreadable, check_beginning, check_head
from wsgi_service.server.head_cache import Head
from wsgi_service.server.spool import Held, Spool

#: The limit of a body that is refused for another reason, so that Waitress does not find one of its own.
UNLIMITED = 1 << 62
#: The largest body in bytes, or why none will do.
Decision = int | Exception
#: Status -> type and detail of what Waitress itself refuses.
WAITRESS_ERRORS = {
    400: ("bad-request", "The request line or a header is not valid HTTP."),
    413: ("request-entity-too-large", "The body is too large."),
    431: ("request-header-fields-too-large", "The headers are too large."),
    500: ("internal-error", "The server failed."),
    501: ("not-implemented", "Of the transfer codings only chunked is read."),
}


class Refusal(Struct):
    """A complete answer to a request whose body is not taken."""

    status: str
    headers: list[tuple[str, str]]
    content: bytes
    request_id: str

    @classmethod
    def of(cls, error: Any) -> "Refusal":
        """The answer to an error of ours or of Waitress."""
        if isinstance(error, _Refused):
            return error.refusal
        # Waitress's own words repeat parts of the request, credentials among them.
        type_, detail = WAITRESS_ERRORS.get(error.code, WAITRESS_ERRORS[400])
        cause = Problem(error.code, type_, detail)
        return cls.from_exception(cause, "")

    @classmethod
    def from_exception(cls, error: Exception, path: str) -> "Refusal":
        """The problem document for an exception, with an id of its own for the log."""
        request_id = uuid.uuid4().hex
        answer = problem(error, path, request_id)
        headers = [*answer.headers, NOSNIFF, ("X-Request-Id", request_id)]
        return cls(answer.status, headers, answer.content, request_id)


class _Refused(Error):  # type: ignore[misc]
    """A refusal in the shape in which Waitress hands errors around."""

    code = 0

    def __init__(self, refusal: Refusal) -> None:
        super().__init__("")
        self.refusal = refusal


class Undecided(Exception):
    """What decides about a body is not in memory: the request is read anew when somebody who may wait has decided.

    Attributes:
        received: all that has come of the request.
        decide: decides; it may wait.
    """

    def __init__(self, received: bytes, decide: Callable[[], Decision]) -> None:
        super().__init__()
        self.received = received
        self.decide = decide


class Admission:
    """Decides about a large body from the request line and the headers alone.

    Args:
        app: whose map, exposure and settings decide.
    """

    def __init__(self, app: Application) -> None:
        self._matches = Matches(app.url_map)
        self._exposure = app.exposure
        self._settings = app.settings
        self.folder = app.settings.folder / "tmp"

    def limit(self, method: str, path: str, headers: dict[str, str], address: str) -> int:
        """The largest body in bytes. Raises HTTPException or StoreError if no body will do."""
        named = Headers([(key.replace("_", "-"), value) for key, value in headers.items()])
        self._exposure.check_host(named)
        route, _ = self._matches.find(path, method)
        self._exposure.authenticate(route, named, address)
        self._exposure.check_origin(method, named)
        return route.body_limit(self._settings)

    def decide(self, method: str, path: str, headers: dict[str, str], address: str) -> Decision:
        """The largest body in bytes, or why none will do. Raises Elsewhere in a thread that must not wait."""
        try:
            return self.limit(method, path, headers, address)
        except (HTTPException, StoreError) as error:
            return error


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """Waitress's parser with a body limit for each route, and refusals before a byte of the body is stored."""

    adj: Any
    error: Any
    body_rcv: Any
    header_plus: bytes
    #: Who sent the request here, and how it is known where it came from.
    peer = ""
    forwarding: Forwarding
    #: What was decided about the body before, since that had to wait.
    decision: Decision | None = None
    #: What is kept of a request that was put off: its environment, how it goes on, and what it waited for.
    environ: dict[str, Any] | None = None
    #: What is kept of a head like this one.
    head: Head | None = None
    rest: Callable[[], Any] | None = None
    found: Any = None

    @property
    def origin(self) -> str:
        """Where the request came from, as far as its head was read."""
        return self.forwarding.origin(self.peer, self.headers.get("X_FORWARDED_FOR", ""))

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the headers, then decide about the body that follows them."""
        self.head = self.adj.heads.find(header_plus)
        if self.head is not None:
            self.__dict__.update(self.head.parsed)
            if self.content_length:
                self._expect_body()
            return
        before = self.__dict__.copy()
        self._parse_anew(header_plus)
        if self.error is None and not self._is_large():
            made = {name: value for name, value in self.__dict__.items() if name not in {*before, "body_rcv"}}
            self.head = self.adj.heads.keep(header_plus, {**made, "headers": self.headers})

    def _parse_anew(self, header_plus: bytes) -> None:
        try:
            check_head(header_plus)
            super().parse_header(header_plus)
        except Unreadable as error:
            self.error = error.error
        except ValueError:  # an address that urlsplit does not take
            raise ParsingError("Bad URI") from None
        if self.body_rcv is None:
            return
        if self._is_large():
            self._admit()
        self._expect_body()

    def _is_large(self) -> bool:
        """Whether to decide about the body before any of it comes."""
        return self.chunked or self.expect_continue or self.content_length >= self.adj.inbuf_overflow

    def _expect_body(self) -> None:
        """Have a place for the body, if one is to come."""
        taken = self.error is None and self.content_length < self.adj.max_request_body_size
        if taken and self.content_length >= self.adj.inbuf_overflow:
            self.body_rcv = self.adj.room.hold(self.content_length)
            if self.body_rcv is not None:
                return
        body = Spool(self.adj.inbuf_overflow, self.adj.admission.folder)
        self.body_rcv = Chunks(body) if self.chunked else FixedStreamReceiver(self.content_length, body)

    def vacant(self) -> memoryview | None:
        """Memory that what comes next may be received into, None if it goes another way."""
        held = self.body_rcv
        return held.vacant() if isinstance(held, Held) and not self.completed else None

    def filled(self, count: int) -> None:
        """So many bytes were received there."""
        self.body_rcv.filled(count)

    def received(self, data: bytes) -> int:
        """Take bytes from the connection; a refusal completes the request at once. Raises Undecided."""
        before = self.header_plus
        try:
            if self.body_rcv is None and not self.header_plus:
                check_beginning(data)
            consumed = int(super().received(data))
        except Elsewhere:
            about = self.command, self.path, self.headers, self.origin
            raise Undecided(before + data, partial(self.adj.admission.decide, *about)) from None
        except ParsingError as error:
            consumed = len(data)
            self.error = BadRequest(str(error))
        except OSError as error:
            consumed = len(data)
            self.error = _Refused(Refusal.from_exception(disk_error(error), self.path))
        except MemoryError as error:
            consumed = len(data)
            self.error = _Refused(Refusal.from_exception(error, self.path))
        if self.error is not None and self.error.code == 413:  # noqa: PLR2004 - Waitress's own, at the limit
            limit = self.adj.max_request_body_size - 1
            self.error = _Refused(Refusal.from_exception(too_large(limit), ""))
        if self.error is None:
            return consumed
        self.completed = True
        self.expect_continue = False
        return len(data)  # what follows is the rest of a body, and never another request

    def _admit(self) -> None:
        if self.decision is None:
            with answering():  # this thread has others to look after
                self.decision = self.adj.admission.decide(self.command, self.path, self.headers, self.origin)
        limit = UNLIMITED
        if isinstance(self.decision, int):
            limit = self.decision
        else:
            self.error = _Refused(Refusal.from_exception(self.decision, self.path))
        self.adj = copy.copy(self.adj)  # shared by all connections until here
        self.adj.max_request_body_size = limit + 1
