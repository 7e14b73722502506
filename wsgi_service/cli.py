"""The command line: one group, one module in `commands/` for each kind of command."""

import sys
from importlib import import_module

import click

from wsgi_service import __version__

#: Command -> the function in `commands/`, whose module is imported when it is run; in the order of the help.
COMMANDS = {
    "serve": "serve.serve",
    "push": "push.push",
    "inspect": "inspect.inspect",
    "convert": "convert.convert",
    "predict": "predict.predict",
    "models": "registry.models",
    "versions": "registry.versions",
    "history": "registry.history",
    "activate": "switching.activate",
    "rollback": "switching.rollback",
    "alias": "switching.alias",
    "compare": "compare.compare",
    "replay": "replay.replay",
    "lift": "registry.lift",
    "check": "store.check_store",
    "backup": "store.backup_store",
    "restore": "store.restore_store",
    "token": "token.token",
    "service": "service.service",
    "doctor": "doctor.doctor",
    "systemd": "hosting.systemd",
    "iis": "hosting.iis",
    "nginx": "hosting.nginx",
}


class Group(click.Group):
    """Has the commands of the table."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """The command of a name."""
        if name not in COMMANDS:
            return None
        module, _, function = COMMANDS[name].partition(".")
        command: click.Command = getattr(import_module(f"wsgi_service.commands.{module}"), function)
        return command


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wsgi-service")
def group() -> None:
    """Register, version, check and serve scikit-learn models."""


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A name may hold characters that a Windows console's code page does not have.
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    group(prog_name="wsgi-service")
