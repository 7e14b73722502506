"""`wsgi-service service`: the server as a Windows service."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from wsgi_service import settings
from wsgi_service.commands.serve import with_settings
from wsgi_service.processes import launch

R = TypeVar("R")
NAME = "wsgi-service"


def _named(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--name`, and say what is missing where there are no services of this kind."""

    @click.option("--name", default=NAME, show_default=True, help="The service's name.")
    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> R:
        _check_platform()
        with _said():
            return command(*args, **kwargs)

    return wrapped


@click.group()
def service() -> None:
    """The server as a Windows service, which starts with the machine and is started again when it fails."""


@service.command()
@_named
@with_settings
def install(name: str, **flags: Any) -> None:
    """Install the service, with the flags that `serve` takes.

    The data folder must be an absolute path; without --data it is wsgi-service in %PROGRAMDATA%. It runs as a
    virtual account of its own, which may write there and nowhere else. The log is in the folder `logs` of it.
    """
    from wsgi_service.windows import control

    flags["data"] = str(data_folder(flags["data"], os.environ))
    flags["log_file"] = flags["log_file"] or str(Path(flags["data"]) / "logs" / f"{NAME}.log")
    _check(flags)  # without the variables of this console, which the service will not have
    control.install(name, arguments_of(flags), Path(flags["data"]))
    click.echo(f"service  {name}: installed")
    click.echo(f"account  {control.account_of(name)}")
    click.echo(f"data     {flags['data']}")
    click.echo(f"log      {flags['log_file']}")
    click.echo("start    wsgi-service service start")


@service.command()
@_named
def start(name: str) -> None:
    """Start the service, and wait until it answers."""
    from wsgi_service.windows import control

    control.start(name)
    click.echo(f"service  {name}: running")


@service.command()
@_named
def stop(name: str) -> None:
    """Stop the service, and wait until what was under way is answered."""
    from wsgi_service.windows import control

    control.stop(name)
    click.echo(f"service  {name}: stopped")


@service.command()
@_named
def restart(name: str) -> None:
    """Stop the service if it runs, and start it."""
    from wsgi_service.windows import control

    if control.status(name).state != "stopped":
        control.stop(name)
    control.start(name)
    click.echo(f"service  {name}: running")


@service.command()
@_named
def status(name: str) -> None:
    """Say how the service is."""
    from wsgi_service.windows import control

    found = control.status(name)
    click.echo(f"service  {name}: {found.state}{f' (pid {found.pid})' if found.pid else ''}")
    click.echo(f"account  {found.account}")
    click.echo(f"command  {found.command}")


@service.command()
@_named
def remove(name: str) -> None:
    """Stop the service if it runs, and remove it. The data folder stays."""
    from wsgi_service.windows import control

    control.remove(name)
    click.echo(f"service  {name}: removed; its data folder is where it was")


@service.command(hidden=True)
@_named
@with_settings
def run(name: str, **flags: Any) -> None:
    """Be the service; only Windows' service control manager can start this."""
    from pywintypes import error

    from wsgi_service.windows.service import run as be_service

    try:
        be_service(name, lambda: launch.load(flags))
    except error:
        raise click.ClickException("Only Windows starts this: wsgi-service service start") from None


def data_folder(given: str | None, environ: Any) -> Path:
    """The absolute data folder. Raises UsageError for a relative one: a service has no folder that it is in."""
    path = Path(given) if given else Path(environ.get("PROGRAMDATA", r"C:\ProgramData")) / NAME
    if not path.is_absolute():
        raise click.UsageError(f"The data folder of a service must be an absolute path, and {path} is none.")
    return path


def arguments_of(flags: dict[str, Any]) -> list[str]:
    """The flags that were given, as arguments."""
    found: list[str] = []
    for setting in settings.TABLE:
        value = flags.get(setting.name)
        if value is None or value is False or setting.flag is None:
            continue
        found += [setting.flag] if value is True else [setting.flag, str(value)]
    return found


def _check(flags: dict[str, Any]) -> None:
    try:
        settings.load({}, flags, launch.has_tokens)
    except settings.InvalidSetting as error:
        raise click.UsageError(str(error)) from None


def _check_platform() -> None:
    """Raises ClickException where there is no service control manager, or nothing to speak to it with."""
    if os.name != "nt":
        raise click.ClickException("These are services of Windows. On Linux: wsgi-service systemd unit")
    if find_spec("win32service") is None:
        raise click.ClickException('This needs pywin32. Install it: pip install "wsgi-service[windows]"')


@contextmanager
def _said() -> Iterator[None]:
    from wsgi_service.windows.control import ServiceError

    try:
        yield
    except ServiceError as error:
        raise click.ClickException(str(error)) from None
