"""`wsgi-service serve`: a flag for each setting."""

import socket
import sys
from collections.abc import Callable
from typing import Any

import click

from wsgi_service import settings
from wsgi_service.processes import launch


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for each setting."""
    for setting in reversed(settings.TABLE):
        if setting.flag is None:
            continue
        help_ = f"{setting.help} [{setting.variable}; default: {setting.default!r}]"
        option = (
            click.option(setting.flag, is_flag=True, default=None, help=help_)
            if setting.kind is bool
            else click.option(setting.flag, type=setting.kind, default=None, help=help_)
        )
        command = option(command)
    return command


@click.command()
@with_settings
def serve(**flags: Any) -> None:
    """Serve the models in a data folder until stopped.

    Each flag can be given as an environment variable as well; WSGI_SERVICE_TOKEN can only be given so.
    """
    try:
        chosen = launch.load(flags)
    except settings.InvalidSetting as error:
        raise click.UsageError(str(error)) from None
    try:
        code = launch.serve(chosen, lambda models, listener, _stop: _announce(chosen, models, listener))
    except launch.CannotServe as error:
        raise click.ClickException(str(error)) from None
    if code:
        raise SystemExit(code)


def _announce(chosen: settings.Settings, models: int, listener: socket.socket) -> None:
    """Say where the data is, how much of it there is, and where to reach the server."""
    if sys.stdout is None:
        return
    click.echo(f"data     {chosen.folder}")
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
