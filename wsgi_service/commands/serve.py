"""`wsgi-service serve`: settings from the table, the socket first, everything else afterwards."""

import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from wsgi_service import settings
from wsgi_service.listening import bind

log = logging.getLogger(__name__)


def _with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for each row of the settings table."""
    for setting in reversed(settings.TABLE):
        if setting.flag is None:
            continue
        kind = type(setting.default)
        help_ = f"{setting.help} [{setting.variable}; default: {setting.default!r}]"
        option = (
            click.option(setting.flag, is_flag=True, default=None, help=help_)
            if kind is bool
            else click.option(setting.flag, type=kind, default=None, help=help_)
        )
        command = option(command)
    return command


@click.command()
@_with_settings
def serve(**flags: Any) -> None:
    """Serve the models in a data folder until stopped.

    Each flag can be given as an environment variable as well; WSGI_SERVICE_TOKEN can only be given so.
    """
    try:
        chosen = settings.load(os.environ, flags, _has_tokens)
    except settings.InvalidSetting as error:
        raise click.UsageError(str(error)) from None
    listener = _listen(chosen)
    start_logging(chosen)
    _warn_of_policy(chosen)
    if chosen.processes > 1:
        raise SystemExit(run_several(chosen, listener))
    run(chosen, listener)


def _has_tokens(folder: Path) -> bool:
    """Whether a data folder has tokens; only asked where others could reach the server."""
    from model_store.catalog import REGISTRY, look_at
    from model_store.errors import StoreError

    if not (folder / REGISTRY).is_file():
        return False
    try:
        registry = look_at(folder).registry
    except (StoreError, RuntimeError):  # that is said better when it is opened to serve
        return False
    try:
        return bool(registry.tokens())
    finally:
        registry.close()


def run_several(chosen: settings.Settings, listener: socket.socket) -> int:
    """Serve on a bound socket in several processes until stopped; returns the exit code."""
    from wsgi_service.supervisor import Supervisor

    return Supervisor(chosen, listener, lambda models: _announce(chosen.folder, models, listener)).run()


def run(chosen: settings.Settings, listener: socket.socket) -> None:
    """Serve on a bound socket until stopped."""
    from model_store.errors import StoreError
    from wsgi_service.app import create_app
    from wsgi_service.memory import give_back
    from wsgi_service.server import serve as serve_app

    give_back()
    try:
        app = create_app(chosen)
    except (OSError, StoreError, RuntimeError) as error:
        raise click.ClickException(f"The data folder {chosen.folder} cannot be used: {error}") from None
    serve_app(app, listener, lambda _stop: _announce(chosen.folder, app.catalog.registry.count_models(), listener))


def _listen(chosen: settings.Settings) -> socket.socket:
    try:
        return bind(*chosen.address)
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen on {chosen.listen}: {error.strerror}. "
            "Stop the program that uses the port, or choose another one with --listen HOST:PORT"
        ) from None


def start_logging(chosen: settings.Settings) -> None:
    """Let the log go to the standard error, where there is one."""
    if sys.stderr is None:  # a Windows service has no console
        logging.basicConfig(handlers=[logging.NullHandler()])
        return
    logging.basicConfig(level=chosen.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _warn_of_policy(chosen: settings.Settings) -> None:
    """Say in the log what the operator allows beyond what is safe for everybody."""
    if chosen.allow_pickle:
        log.warning("allow_pickle is on: whoever may upload a model can run code on this machine")
    for name in chosen.policy.trusted:
        log.warning("models may hold %s, which nobody here has checked", name)


def _announce(folder: Path, models: int, listener: socket.socket) -> None:
    """Say where the data is, how much of it there is, and where to reach the server."""
    if sys.stdout is None:
        return
    click.echo(f"data     {folder}")
    click.echo(f"models   {models}")
    click.echo(f"address  {_url(listener)}")
    if _no_pandas():
        click.echo(
            "note     pandas is not installed: estimators that select columns by name are refused. "
            'To take them: pip install "wsgi-service[pandas]"'
        )
    sys.stdout.flush()


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _no_pandas() -> bool:
    from importlib.util import find_spec

    return find_spec("pandas") is None
