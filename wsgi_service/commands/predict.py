"""`wsgi-service predict`: ask a server from the command line."""

import sys
from pathlib import Path
from typing import Any

import click

from wsgi_service.commands.options import server_options, show
from wsgi_service.remote import Remote, address


@click.command()
@click.argument("name")
@click.argument("body")
@click.option("--version", "number", type=click.IntRange(1), help="Ask exactly this version.")
@click.option("--alias", help="Ask the version that this alias points to.")
@server_options
def predict(name: str, body: str, number: int | None, alias: str | None, remote: Remote, as_json: bool) -> None:
    r"""Predict with the model NAME. BODY is JSON, or @FILE to read it from a file, or - for standard input.

    For example: wsgi-service predict iris "{\"instances\": [[5.1, 3.5, 1.4, 0.2]]}"
    """
    if number and alias:
        raise click.UsageError("Give --version or --alias, not both.")
    where: list[str | int] = ["versions", number] if number else ["aliases", alias] if alias else []
    answer = remote.send_text("POST", address("models", name, *where, "predict"), _read(body))
    show(answer, as_json, _report(answer))


def _read(body: str) -> bytes:
    if body == "-":
        return sys.stdin.buffer.read()
    if not body.startswith("@"):
        return body.encode()
    try:
        return Path(body[1:]).read_bytes()
    except OSError as error:
        raise click.ClickException(f"{body[1:]}: {error.strerror}") from None


def _report(answer: dict[str, Any]) -> str:
    predictions = answer.get("labels") or answer["predictions"]
    source = f"# {answer['model']} version {answer['version']}, {answer['method']}"
    return "\n".join([source, *(str(value) for value in predictions)])
