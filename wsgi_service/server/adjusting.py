"""What Waitress is told about a server: how many connections, and how much of a request it takes at once."""

import sys
from typing import Any

from waitress.adjustments import Adjustments

from wsgi_service.app import Application
from wsgi_service.server.channel import SENT_AT_ONCE
from wsgi_service.server.head_cache import Heads
from wsgi_service.server.listening import BACKLOG
from wsgi_service.server.parser import Admission
from wsgi_service.server.spool import Room
from wsgi_service.settings import MEGABYTE

#: select() on Windows takes 512 sockets and ends the process at one more.
CONNECTION_LIMIT = 480 if sys.platform == "win32" else 1000
#: Of the files that the process may have open, so many are for other things than connections; half at most.
OTHER_FILES = 64
MAX_HEADER = 256 * 1024
#: Bytes that are read from a connection with one call; a large body comes in fewer turns.
RECEIVED_AT_ONCE = 1 << 17
INBUF_OVERFLOW = 512 * 1024
#: So many of the largest predicts may be on their way in memory; more of them wait in files.
HELD_AT_ONCE = 4
HOUSEKEEPING = 1


def connection_limit() -> int:
    """Connections at a time, for which the process can have files open besides what else it needs."""
    if sys.platform != "win32":
        import resource

        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files >= 0:
            return min(CONNECTION_LIMIT, max(files - OTHER_FILES, files // 2))
    return CONNECTION_LIMIT


def adjustments(app: Application) -> Any:
    """Waitress's adjustments for an application."""
    settings = app.settings
    adjustments = Adjustments(
        threads=settings.request_threads,
        ident=None,
        connection_limit=connection_limit(),
        backlog=BACKLOG,
        max_request_header_size=MAX_HEADER,
        max_request_body_size=MEGABYTE + 1,
        inbuf_overflow=INBUF_OVERFLOW,
        recv_bytes=RECEIVED_AT_ONCE,
        channel_request_lookahead=1,  # else nobody would notice that a client has gone while it is served
        cleanup_interval=HOUSEKEEPING,
        channel_timeout=60,
        clear_untrusted_proxy_headers=False,  # `forwarding` does it
        log_socket_errors=False,
    )
    adjustments.send_bytes = SENT_AT_ONCE  # as an argument it warns that a later Waitress will not have it
    adjustments.admission = Admission(app)
    largest = settings.predict_limit * MEGABYTE
    adjustments.room = Room(HELD_AT_ONCE * largest, largest)
    adjustments.heads = Heads()
    return adjustments
