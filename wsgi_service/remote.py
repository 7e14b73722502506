"""Speaking to a server from the command line, with the standard library's HTTP."""

import http.client
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT = 600.0
CHUNK = 1 << 16


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
    """A server at a URL.

    Args:
        url: `http://HOST:PORT`, also with a path in front, or https.
        token: the bearer token, if the server has one.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._parts = urlsplit(self.url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise RemoteError("The server's address must be like http://127.0.0.1:8080")

    def get(self, path: str) -> Any:
        """The JSON at a path. Raises RemoteError."""
        return self._send("GET", path, None, {})

    def send_json(self, method: str, path: str, body: Any) -> Any:
        """Send JSON and return the answer's. Raises RemoteError."""
        return self.send_text(method, path, json.dumps(body).encode())

    def send_text(self, method: str, path: str, body: bytes) -> Any:
        """Send bytes that are JSON already. Raises RemoteError."""
        return self._send(method, path, body, {"Content-Type": "application/json; charset=utf-8"})

    def delete(self, path: str) -> None:
        """Delete what is at a path. Raises RemoteError."""
        self._send("DELETE", path, None, {})

    def upload(
        self,
        method: str,
        path: str,
        file: Path,
        parameters: Mapping[str, str],
        tell: Callable[[int], None],
    ) -> Any:
        """Send a file's bytes, telling after each piece how many went. Raises RemoteError or OSError."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(file.stat().st_size),
        }
        with file.open("rb") as opened:
            return self._send(method, path + query, _Told(opened, tell), headers)

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        secure = self._parts.scheme == "https"
        make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = make(self._parts.netloc, timeout=TIMEOUT)
        try:
            connection.request(method, self._parts.path + path, body, self._headers | headers)
            response = connection.getresponse()
            return _read(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(
                f"No answer from {self.url} ({error}). Is the server running? Start it with: wsgi-service serve"
            ) from None
        finally:
            connection.close()


def address(*parts: str | int) -> str:
    """A path of segments, each quoted."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


def configured(url: str | None) -> Remote:
    """The server of `--server`, WSGI_SERVICE_URL, or this machine, with the token of WSGI_SERVICE_TOKEN."""
    chosen = url or os.environ.get("WSGI_SERVICE_URL") or DEFAULT_URL
    return Remote(chosen, os.environ.get("WSGI_SERVICE_TOKEN", ""))


class _Told:
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell

    def read(self, _size: int = CHUNK) -> bytes:
        """The next piece."""
        piece = self._file.read(CHUNK)
        self._tell(len(piece))
        return piece


def _read(status: int, content: bytes) -> Any:
    try:
        document = json.loads(content) if content else None
    except ValueError:
        raise RemoteError(f"The server answered {status}, but not in JSON.", status) from None
    if status < http.client.BAD_REQUEST:
        return document
    problem = document if isinstance(document, dict) else {}
    raise RemoteError(problem.get("detail") or f"The server answered {status}.", status, problem)
