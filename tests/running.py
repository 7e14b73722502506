"""A server in this process, on a port of its own, and messages for it as they go over a connection."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import PATIENCE

from wsgi_service.app import create_app
from wsgi_service.at_once import must_not_wait
from wsgi_service.hosts.pool import HostPool
from wsgi_service.server.listening import bind
from wsgi_service.server.loop import Server
from wsgi_service.settings import Settings


def until(holds: Callable[[], object]) -> None:
    """Ask until something holds, but not for ever."""
    last = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < last
        threading.Event().wait(0.001)


class Running:
    """A server whose application can be looked into.

    Attributes:
        answered_by: "at once" or "elsewhere" for each request that was answered.
    """

    def __init__(self, folder: Path, pool: HostPool, **settings: Any) -> None:
        self.app = create_app(Settings(data=str(folder), **settings), pool)
        listener = bind("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        self.server = Server(self.app, listener)
        self.thread = threading.Thread(target=self.server.run)
        self.answered_by: list[str] = []
        whole = self.app.wsgi_app

        def note(environ: Any, start_response: Any) -> Any:
            answer = whole(environ, start_response)
            self.answered_by.append("at once" if must_not_wait() else "elsewhere")
            return answer

        self.app.wsgi_app = note
        self.thread.start()

    @property
    def predictions(self) -> Any:
        """The resource that answers predicts."""
        route, _ = self.app.url_map.bind("localhost").match("/predict", "POST")
        return route.call.__self__

    def look_nothing_up_again(self) -> None:
        """Have what was found in the registry hold for longer than any test takes."""
        self.predictions._directory._revision._poll = PATIENCE

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(PATIENCE)
        self.app.catalog.registry.close()


def message(model: str, rows: Any, *headers: str) -> bytes:
    """A predict as it goes over a connection."""
    body = json.dumps({"instances": rows}).encode()
    head = [
        f"POST /models/{model}/predict HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
