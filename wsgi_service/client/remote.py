"""Speaking to a server with the standard library's HTTP: connections that are kept, and some patience."""

import http.client
import itertools
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from wsgi_service.client.connections import Broken, Connections, Reply

DEFAULT_URL = "http://127.0.0.1:8080"
CHUNK = 1 << 16
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class RemoteError(Exception):
    """The server refused, or could not be reached.

    Args:
        message: for the person at the terminal.
        status: of the answer; 0 if there was none.
        document: the problem document, empty if there was none.
    """

    def __init__(self, message: str, status: int = 0, document: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.document = document or {}


class Remote:
    """A server at a URL. Threads may share it.

    Args:
        url: `http://HOST:PORT`, also with a path in front, or https.
        token: the bearer token, if the server has one.
        patience: seconds for which a busy server is asked again.
    """

    def __init__(self, url: str, token: str = "", patience: float = 0.0) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        self._connections = Connections(_parts_of(self.url))
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        if not token.isascii() or not token.isprintable():
            raise RemoteError("The token must be of printable ASCII characters.")

    def get(self, path: str) -> Any:
        """The JSON at a path. Raises RemoteError."""
        return self._send("GET", path, None, {})

    def tag(self, path: str) -> str | None:
        """The validator of what is at a path, None if nothing is. Raises RemoteError."""
        try:
            return self.fetch("GET", path).headers.get("ETag")
        except RemoteError as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise

    def send_json(self, method: str, path: str, body: Any, headers: Mapping[str, str] = NO_HEADERS) -> Any:
        """Send JSON and return the answer's. Raises RemoteError."""
        return self.send_text(method, path, json.dumps(body).encode(), headers)

    def send_text(self, method: str, path: str, body: bytes, headers: Mapping[str, str] = NO_HEADERS) -> Any:
        """Send bytes that are JSON already. Raises RemoteError."""
        return self.send_bytes(method, path, body, "application/json; charset=utf-8", headers)

    def send_bytes(
        self, method: str, path: str, body: bytes, type_: str, headers: Mapping[str, str] = NO_HEADERS
    ) -> Any:
        """Send bytes of a media type. Raises RemoteError."""
        return self._send(method, path, body, {"Content-Type": type_, **headers})

    def delete(self, path: str, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Delete what is at a path. Raises RemoteError."""
        self._send("DELETE", path, None, headers)

    def upload(
        self,
        method: str,
        path: str,
        file: Path,
        parameters: Mapping[str, str],
        tell: Callable[[int], None],
        examples: bytes | None = None,
    ) -> Any:
        """Send a file's bytes, telling after each piece how many went. Raises RemoteError or OSError."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        before, after, type_ = _around(examples)
        size = len(before) + file.stat().st_size + len(after)
        headers = {"Content-Type": type_, "Content-Length": str(size)}
        with file.open("rb") as opened:
            body = itertools.chain([before], _told(opened, tell), [after])
            return self._send(method, path + query, body, headers)

    def fetch(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = NO_HEADERS, safe: bool = False
    ) -> Reply:
        """The answer to a request, whatever it is in.

        Args:
            method: of the request.
            path: with the query string.
            body: a `connections.Body`, or pieces that come once and cannot be sent twice.
            headers: further ones.
            safe: whether the request may be sent twice although its method does not say so.

        Raises:
            RemoteError: the server refused, or could not be reached.
        """
        repeatable = body is None or isinstance(body, bytes | tuple)
        again = (safe or method in IDEMPOTENT) and repeatable
        until = time.monotonic() + (self._patience if repeatable else 0.0)
        if isinstance(body, tuple):
            headers = {**headers, "Content-Length": str(sum(map(len, body)))}
        while True:
            reply = self._reply(method, path, body, {**self._headers, **headers}, again)
            pause = _pause_after(reply)
            if pause is None or time.monotonic() + pause > until:
                break
            time.sleep(pause)
        if reply.status >= http.client.BAD_REQUEST:
            raise _refusal(reply)
        return reply

    def close(self) -> None:
        """Close all connections; one that a request is using is closed when it is over."""
        self._connections.close()

    def _send(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        reply = self.fetch(method, path, body, headers)
        try:
            return json.loads(reply.content) if reply.content else None
        except ValueError:
            raise RemoteError(f"The server answered {reply.status}, but not in JSON.", reply.status) from None

    def _reply(self, method: str, path: str, body: Any, headers: dict[str, str], again: bool) -> Reply:
        try:
            try:
                return self._connections.exchange(method, path, body, headers)
            except Broken:  # the server may have closed a connection that was idle
                if not again:
                    raise
                return self._connections.exchange(method, path, body, headers, fresh=True)
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(
                f"No answer from {self.url} ({error}). Is the server running? Start it with: wsgi-service serve"
            ) from None


def _pause_after(reply: Reply) -> int | None:
    """In how many seconds a busy server may be asked again; None if it does not say that it is busy."""
    after = reply.headers.get("Retry-After", "")
    busy = reply.status == http.client.SERVICE_UNAVAILABLE and after.isascii() and after.isdigit()
    return int(after) if busy else None


def _refusal(reply: Reply) -> RemoteError:
    try:
        document = json.loads(reply.content)
    except ValueError:
        return RemoteError(f"The server answered {reply.status}, but not in JSON.", reply.status)
    problem = document if isinstance(document, dict) else {}
    return RemoteError(problem.get("detail") or f"The server answered {reply.status}.", reply.status, problem)


def _parts_of(url: str) -> SplitResult:
    """The parts of a server's address. Raises RemoteError."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and (parts.port or parts.port is None):
            return parts
    except ValueError:  # a port that is no number, a bracket left open
        pass
    raise RemoteError("The server's address must be like http://127.0.0.1:8080")


def address(*parts: str | int) -> str:
    """A path of segments, each quoted."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


def configured(url: str | None) -> Remote:
    """The server of `--server`, WSGI_SERVICE_URL, or this machine, with the token of WSGI_SERVICE_TOKEN."""
    chosen = url or os.environ.get("WSGI_SERVICE_URL") or DEFAULT_URL
    return Remote(chosen, os.environ.get("WSGI_SERVICE_TOKEN", ""))


def _told(file: BinaryIO, tell: Callable[[int], None]) -> Iterator[bytes]:
    """The pieces of a file, telling how much of it was read."""
    while piece := file.read(CHUNK):
        tell(len(piece))
        yield piece


def _around(examples: bytes | None) -> tuple[bytes, bytes, str]:
    """What stands before and behind an artifact's bytes, and the type of it all: a form if there are examples."""
    if examples is None:
        return b"", b"", "application/octet-stream"
    boundary = secrets.token_hex(16)
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n'
    first = (part % ("examples", "examples")).encode() + examples + b"\r\n"
    before = first + (part % ("file", "model")).encode()
    return before, f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
