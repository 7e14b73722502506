"""From settings to a server that has stopped: the socket first, everything heavy afterwards."""

import logging
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from wsgi_service import settings
from wsgi_service.monitoring import logs
from wsgi_service.server.listening import bind
from wsgi_service.settings import Settings

log = logging.getLogger(__name__)


class CannotServe(Exception):
    """Why a server does not start, for whoever started it."""


#: Is called when a server serves, with how many models there are, its socket, and a function that has it stop.
Announce = Callable[[int, socket.socket, Callable[[], None]], None]


def load(flags: Mapping[str, Any]) -> Settings:
    """The settings from flags and the environment. Raises InvalidSetting."""
    return settings.load(os.environ, flags, has_tokens)


def serve(chosen: Settings, announce: Announce) -> int:
    """Serve until stopped; returns the exit code. Raises CannotServe."""
    listener = _listen(chosen)
    # Of several processes the supervisor comes last: no two may write one file.
    logs.start(chosen, chosen.processes if chosen.processes > 1 else 0)
    _warn_of_policy(chosen)
    if chosen.processes > 1:
        return _serve_several(chosen, listener, announce)
    return _serve_alone(chosen, listener, announce)


def _serve_several(chosen: Settings, listener: socket.socket, announce: Announce) -> int:
    from wsgi_service.processes.supervisor import Supervisor

    supervisor = Supervisor(chosen, listener, lambda models: announce(models, listener, supervisor.stop))
    return supervisor.run()


def _serve_alone(chosen: Settings, listener: socket.socket, announce: Announce) -> int:
    from wsgi_service.hosts.isolation import starter

    starts = starter(chosen.isolation)
    with suppress(OSError):  # the hosts' pool tries again, and says why not
        starts.prepare()
    from model_store.errors import MissingExtra, StoreError
    from wsgi_service.app import create_app
    from wsgi_service.processes.memory import give_back
    from wsgi_service.server.run import serve as serve_app

    give_back()
    try:
        app = create_app(chosen, starts=starts)
    except MissingExtra as error:
        raise CannotServe(str(error)) from None
    except (OSError, StoreError, RuntimeError) as error:
        raise CannotServe(f"The data folder {chosen.folder} cannot be used: {error}") from None
    check_exposure(app)
    serve_app(app, listener, lambda stop, _: announce(app.catalog.registry.count_models(), listener, stop))
    return 0


def _listen(chosen: Settings) -> socket.socket:
    try:
        return bind(*chosen.address)
    except OSError as error:
        raise CannotServe(
            f"Cannot listen on {chosen.listen}: {error.strerror}. "
            "Stop the program that uses the port, or choose another one with --listen HOST:PORT"
        ) from None


def _warn_of_policy(chosen: Settings) -> None:
    """Say in the log what the operator allows beyond what is safe for everybody."""
    if chosen.allow_pickle:
        log.warning("allow_pickle is on: whoever may upload a model can run code on this machine")
    for name in chosen.policy.trusted:
        log.warning("models may hold %s, which nobody here has checked", name)


def has_tokens(folder: Path) -> bool:
    """Whether a data folder has tokens; only asked where others could reach the server."""
    from model_store.errors import StoreError
    from model_store.opening import REGISTRY, look_at

    try:
        if not (folder / REGISTRY).is_file():
            return False
        registry = look_at(folder).registry
        try:
            return bool(registry.tokens())
        finally:
            registry.close()
    except (StoreError, RuntimeError, OSError):  # it is said when it is opened to serve, and looked at then
        return True


def check_exposure(app: Any) -> None:
    """Raises CannotServe for an application that others reach and nobody needs a token for."""
    chosen = app.settings
    if not (settings.is_loopback(chosen.address[0]) or chosen.insecure or app.exposure.secured()):
        raise CannotServe(settings.EXPOSED.format(chosen.listen))
