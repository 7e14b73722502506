"""`wsgi-service systemd`, `iis` and `nginx`: configuration for what stands around the server."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from wsgi_service.commands.service import data_folder
from wsgi_service.deployment.files import write
from wsgi_service.processes import launch
from wsgi_service.settings import MEGABYTE, Settings

NAME = "wsgi-service"
DEFAULTS = Settings()
#: Seconds beyond what the server itself gives to predicts, and to requests when it stops.
MORE = 10

_upload_limit = click.option(
    "--upload-limit", default=DEFAULTS.upload_limit, show_default=True, help="Largest upload in MB."
)


def _host(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--host", required=True, help="The name that clients use, such as models.example.com.")(
        command
    )


@click.group()
def systemd() -> None:
    """A service of Linux."""


@systemd.command()
@click.option("--name", default=NAME, show_default=True, help="The service's name.")
@click.option("--listen", default=DEFAULTS.listen, show_default=True, help="HOST:PORT to listen on.")
@click.option("--host", default="", help="The name that clients use, if there is a proxy in front.")
@click.option("--python", default=sys.executable, help="The Python to start  [default: this one].")
def unit(name: str, listen: str, host: str, python: str) -> None:
    """Write a systemd unit that may do nothing but serve."""
    more = f" --allowed-hosts {host} --trusted-proxy 127.0.0.1" if host else ""
    stop_seconds = int(DEFAULTS.drain_deadline) + MORE
    text = write("unit.service", name=name, listen=listen, more=more, python=python, stop_seconds=stop_seconds)
    click.echo(text, nl=False)


@click.group()
def iis() -> None:
    """Behind IIS, on Windows."""


@iis.command("web-config")
@_host
@click.option("--data", default=None, help=r"The data folder  [default: %PROGRAMDATA%\wsgi-service].")
@click.option("--python", default=sys.executable, help="The Python to start  [default: this one].")
@_upload_limit
def web_config(host: str, data: str | None, python: str, upload_limit: int) -> None:
    """Write a web.config for HttpPlatformHandler."""
    folder = data_folder(data, os.environ)
    minutes, seconds = divmod(int(DEFAULTS.predict_deadline) + int(DEFAULTS.inspect_deadline) + MORE, 60)
    text = write(
        "web.config",
        python=python,
        data=folder,
        logs=rf"{folder}\logs",
        hosts=host,
        request_timeout=f"00:{minutes:02}:{seconds:02}",
        upload_limit=upload_limit,
        upload_bytes=upload_limit * MEGABYTE,
    )
    click.echo(text, nl=False)
    _warn(folder)


@click.group()
def nginx() -> None:
    """Behind nginx."""


@nginx.command()
@_host
@click.option("--listen", default="443 ssl", show_default=True, help="What nginx listens on.")
@click.option("--upstream", default=DEFAULTS.listen, show_default=True, help="HOST:PORT of the server.")
@click.option("--certificate", default="", help="The file of the certificate; without one there is no TLS.")
@click.option("--key", default="", help="The file of its key.")
@_upload_limit
def config(host: str, listen: str, upstream: str, certificate: str, key: str, upload_limit: int) -> None:
    """Write a site for nginx."""
    if listen.endswith("ssl") and not (certificate and key):
        raise click.UsageError("For TLS, name the files: --certificate and --key. Without TLS: --listen 80")
    text = write(
        "nginx.conf",
        server_name=host,
        listen=listen,
        upstream=upstream,
        certificate=certificate,
        key=key,
        upload_limit=upload_limit,
        read_seconds=int(DEFAULTS.predict_deadline) + int(DEFAULTS.inspect_deadline) + MORE,
    )
    click.echo(text, nl=False)


def _warn(folder: Path) -> None:
    """Say that a server behind another one listens to this machine alone, and so would let everybody in."""
    if not launch.has_tokens(folder):
        click.echo(
            f"Whoever reaches the site can change models until there is a token: "
            f"wsgi-service token create --scope admin --data {folder}",
            err=True,
        )
