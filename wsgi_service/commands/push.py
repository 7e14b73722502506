"""`wsgi-service push`: send a model file to a server."""

import tempfile
from pathlib import Path
from typing import Any

import click

from model_store.entities import LIVE
from wsgi_service.client.remote import Remote, address
from wsgi_service.commands.options import progress, server_options, show


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("name")
@click.option("--version", "number", type=click.IntRange(1), help="Create exactly this version.")
@click.option("--live", "go_live", is_flag=True, help="Point the alias `live` to it at once.")
@click.option("--class-names", help="Names for people, with commas, in the order of the classes.")
@click.option("--column-names", help="Column names, with commas, for an estimator fitted without any.")
@click.option(
    "--examples",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rows that it must answer, with or without what it must answer, in CSV or JSON.",
)
@click.option("--trust-local", is_flag=True, help="Convert a pickle first. This executes the file, here.")
@server_options
def push(  # noqa: PLR0913, PLR0917 - one for each option
    file: Path,
    name: str,
    number: int | None,
    go_live: bool,
    class_names: str | None,
    column_names: str | None,
    examples: Path | None,
    trust_local: bool,
    remote: Remote,
    as_json: bool,
) -> None:
    """Upload the model FILE as a version of NAME."""
    parameters = {"class_names": class_names, "column_names": column_names}
    given = {key: value for key, value in parameters.items() if value is not None}
    rows = examples.read_bytes() if examples else None
    if trust_local:
        version = _push_converted(remote, file, name, number, given, rows)
    else:
        version = _upload(remote, file, name, number, given, rows)
    if go_live:
        _go_live(remote, name, version["version"])
    live = remote.get(address("models", name))["aliases"].get(LIVE)
    show(version | {"live": live}, as_json, _report(version, live))


def _go_live(remote: Remote, name: str, number: int) -> None:
    path = address("models", name, "aliases", LIVE)
    tag = remote.tag(path)
    remote.send_json("PUT", path, {"version": number}, {"If-Match": tag} if tag else {"If-None-Match": "*"})


def _push_converted(
    remote: Remote, file: Path, name: str, number: int | None, given: dict[str, str], examples: bytes | None
) -> Any:
    from wsgi_service.commands.convert import convert_file

    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "model.skops"
        convert_file(file, converted)
        return _upload(remote, converted, name, number, given, examples)


def _upload(
    remote: Remote, file: Path, name: str, number: int | None, given: dict[str, str], examples: bytes | None
) -> Any:
    path = address("models", name, "versions", *([number] if number else []))
    size = file.stat().st_size
    # Quiet in a pipe; on a terminal the bar goes to stderr, so that stdout holds the result alone.
    with progress(f"Sending {file.name}", size) as bar:
        return remote.upload("PUT" if number else "POST", path, file, given, bar.update, examples)


def _pending(version: dict[str, Any]) -> bool:
    return version.get("acceleration") == "pending"


def _report(version: dict[str, Any], live: int | None) -> str:
    name, number = version["model"], version["version"]
    lines = [
        f"stored   {name} version {number}: {version['estimator']}",
        f"digest   {version['digest']}",
        f"engine   {version['engine']}{' (a program is being proven)' if _pending(version) else ''}",
        *(f"warning  {warning}" for warning in version["warnings"]),
        *(f"fault    {fault} No alias can point to this version." for fault in version["faults"]),
        f"live     {f'version {live}' if live else 'not set'}",
    ]
    if live != number:
        lines.append(f"switch   wsgi-service activate {name} {number}")
    return "\n".join(lines)
