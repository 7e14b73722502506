"""The command line: one group, one module in `commands/` for each kind of command."""

import sys

import click

from wsgi_service import __version__
from wsgi_service.commands import (
    compare,
    convert,
    doctor,
    hosting,
    inspect,
    predict,
    push,
    registry,
    replay,
    serve,
    service,
    store,
    switching,
    token,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wsgi-service")
def group() -> None:
    """Register, version, check and serve scikit-learn models."""


for command in (
    serve.serve,
    push.push,
    inspect.inspect,
    convert.convert,
    predict.predict,
    registry.models,
    registry.versions,
    registry.history,
    switching.activate,
    switching.rollback,
    switching.alias,
    compare.compare,
    replay.replay,
    registry.lift,
    store.check_store,
    store.backup_store,
    store.restore_store,
    token.token,
    service.service,
    doctor.doctor,
    hosting.systemd,
    hosting.iis,
    hosting.nginx,
):
    group.add_command(command)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A name may hold characters that a Windows console's code page does not have.
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    group(prog_name="wsgi-service")
