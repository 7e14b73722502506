"""Options that several commands share, and how their results and failures are shown."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from wsgi_service.client.remote import RemoteError, configured

R = TypeVar("R")
data_option = click.option(
    "--data",
    "folder",
    envvar="WSGI_SERVICE_DATA",
    default="var",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The data folder [WSGI_SERVICE_DATA].",
)
MAX_ERRORS_SHOWN = 10


def server_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--server` and `--json`; the command gets a `remote` and `as_json`, and its errors are shown."""

    @click.option("--server", "url", help="The server [WSGI_SERVICE_URL; default: http://127.0.0.1:8080]")
    @click.option("--json", "as_json", is_flag=True, help="Print the server's JSON, for scripts.")
    @wraps(command)
    def wrapped(*args: Any, url: str | None, as_json: bool, **kwargs: Any) -> R:
        try:
            with closing(configured(url)) as remote:
                return command(*args, remote=remote, as_json=as_json, **kwargs)
        except RemoteError as error:
            if as_json and error.document:
                click.echo(json.dumps(error.document))
            raise click.ClickException(describe(error)) from None

    return wrapped


def show(document: Any, as_json: bool, text: str) -> None:
    """Print the document as JSON, or the text for people."""
    click.echo(json.dumps(document, ensure_ascii=False) if as_json else text)


def describe(error: RemoteError) -> str:
    """An error with the rows that were wrong, as lines."""
    rows = error.document.get("errors", [])
    lines = [f"  row {row['row']}{_in_column(row)}: {row['message']}" for row in rows[:MAX_ERRORS_SHOWN]]
    if len(rows) > MAX_ERRORS_SHOWN:
        lines.append(f"  … {len(rows) - MAX_ERRORS_SHOWN} more")
    lines += checks_lines(error.document.get("checks", {"checks": []}))
    return "\n".join([str(error), *lines] if len(lines) > 1 else [str(error)])


def checks_lines(report: dict[str, Any]) -> list[str]:
    """What was checked before a switch, a line for each."""
    return [f"  {check['status']:8} {check['check']}: {check['message']}" for check in report["checks"]]


def printable(text: str) -> str:
    """A text that others wrote, with what could move a terminal's cursor or colours escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def progress(label: str, length: int) -> Iterator[Any]:
    """A progress bar on a terminal, and nothing in a pipe."""
    hidden = not sys.stderr or not sys.stderr.isatty()
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden) as bar:
        yield bar


def table(rows: list[list[str]]) -> str:
    """Rows with their columns aligned; the first row is the heading."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _in_column(row: dict[str, Any]) -> str:
    return f", column '{row['column']}'" if row.get("column") is not None else ""
