"""Connections to one server: each request has one to itself, and idle ones are kept for whoever comes next."""

import http.client
import os
import select
import socket
import sys
from collections import deque
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import SplitResult

TIMEOUT = 600.0
#: What can be sent twice: bytes, or pieces of them that stay where they are.
Body = bytes | tuple[bytes | memoryview, ...]


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: Message
    content: bytes


class Broken(ConnectionError):
    """A connection that had been idle broke before a whole answer came over it."""


class Idle(NamedTuple):
    """A connection that waits, and the process that made it: a fork must not speak over its parent's."""

    process: int
    connection: http.client.HTTPConnection


class Connections:
    """The connections to a server, without a lock: taking and giving back are single steps of a deque.

    Args:
        parts: of the server's address.
    """

    def __init__(self, parts: SplitResult) -> None:
        self._parts = parts
        self._idle: deque[Idle] = deque()

    def exchange(self, method: str, path: str, body: Any, headers: dict[str, str], fresh: bool = False) -> Reply:
        """Send a request and read the whole answer.

        A connection is kept only after that; whatever stops the exchange, an interrupt too, closes it.

        Args:
            method: of the request.
            path: as it stands behind the server's address.
            body: a Body, or pieces that come once.
            headers: all of them.
            fresh: whether it gets a new connection, and those that were idle are given up.

        Raises:
            Broken: over a connection that had been idle.
            OSError, http.client.HTTPException: over a new one, or in another way.
        """
        if fresh:
            self.close()
        idle = self._idle
        kept = _taken(idle)
        connection = kept or self._made()
        try:
            connection.request(method, self._parts.path + path, body, headers)
            response = connection.getresponse()
            reply = Reply(response.status, response.headers, response.read())
        except TimeoutError:
            connection.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if kept is None:
                raise
            raise Broken(str(error)) from error
        except BaseException:
            connection.close()
            raise
        idle.append(Idle(os.getpid(), connection))
        if idle is not self._idle:  # they were closed meanwhile
            _close(idle)
        return reply

    def close(self) -> None:
        """Close those that are idle; the others are closed when their requests are over."""
        idle, self._idle = self._idle, deque()
        _close(idle)

    def _made(self) -> http.client.HTTPConnection:
        secure = self._parts.scheme == "https"
        make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return make(self._parts.netloc, timeout=TIMEOUT)


def _taken(idle: deque[Idle]) -> http.client.HTTPConnection | None:
    """The connection that was given back last and is still good; None if there is none."""
    while True:
        try:
            process, connection = idle.pop()
        except IndexError:
            return None
        if process == os.getpid() and connection.sock is not None and not _has_spoken(connection.sock):
            return connection
        connection.close()


def _close(idle: deque[Idle]) -> None:
    while idle:
        try:
            idle.pop().connection.close()
        except IndexError:  # another thread took it
            return


def _has_spoken(sock: socket.socket) -> bool:
    """Whether there is something to read where nobody asked: the end, or an answer that is nobody's."""
    if sys.platform == "win32":
        return bool(select.select([sock], [], [], 0)[0])
    else:  # noqa: RET505 - mypy looks at one of them
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
