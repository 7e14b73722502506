"""`wsgi-service activate`, `alias` and `rollback`: move aliases, with the report of what was checked."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from model_store.entities import LIVE
from wsgi_service.client.remote import Remote, address
from wsgi_service.commands.options import checks_lines, server_options, show, table

R = TypeVar("R")
_reason = click.option("--reason", help="Why, for the history.")


def _move_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--reason`, `--force` and `--dry-run`."""
    force = click.option("--force", is_flag=True, help="Move it even if the checks fail.")
    dry_run = click.option("--dry-run", is_flag=True, help="Only make the checks.")
    return _reason(force(dry_run(command)))


@click.command()
@click.argument("name")
@click.argument("number", type=click.IntRange(1))
@_move_options
@server_options
def activate(name: str, number: int, remote: Remote, as_json: bool, **how: Any) -> None:
    """Point the alias `live` of the model NAME to version NUMBER, if it passes its checks."""
    move(remote, as_json, (name, LIVE), number, **how)


@click.command()
@click.argument("name")
@click.argument("alias_name", metavar="[ALIAS]", required=False)
@click.argument("number", type=click.IntRange(1), required=False)
@click.option("--delete", is_flag=True, help="Delete the alias.")
@_move_options
@server_options
def alias(
    name: str,
    alias_name: str | None,
    number: int | None,
    delete: bool,
    remote: Remote,
    as_json: bool,
    **how: Any,
) -> None:
    """List the aliases of the model NAME, or point ALIAS to version NUMBER, or delete it."""
    if alias_name is None:
        _list_aliases(remote, as_json, name)
    elif delete:
        path = address("models", name, "aliases", alias_name)
        remote.delete(path, {"If-Match": remote.tag(path) or "*"})
        show({"deleted": alias_name}, as_json, f"{name}: {alias_name} is deleted")
    elif number is None:
        raise click.UsageError("Give the version that the alias is to point to, or --delete.")
    else:
        move(remote, as_json, (name, alias_name), number, **how)


@click.command()
@click.argument("name")
@click.argument("alias_name", metavar="[ALIAS]", default=LIVE)
@_reason
@server_options
def rollback(name: str, alias_name: str, reason: str | None, remote: Remote, as_json: bool) -> None:
    """Point ALIAS (by default `live`) of the model NAME to what it pointed to before."""
    path = address("models", name, "aliases", alias_name)
    body = {"from": remote.get(path)["version"], "reason": reason}
    document = remote.send_json("POST", f"{path}/rollback", body)
    show(document, as_json, f"{name}: {alias_name} went back from version {document['from']} to {document['to']}")


def move(
    remote: Remote,
    as_json: bool,
    which: tuple[str, str],
    number: int,
    *,
    reason: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> None:
    """Point an alias, which must not move meanwhile, to a version, and show the report."""
    name, alias_name = which
    path = address("models", name, "aliases", alias_name)
    tag = remote.tag(path)
    condition = {"If-Match": tag} if tag else {"If-None-Match": "*"}
    body = {"version": number, "reason": reason, "force": force}
    document = remote.send_json("PUT", f"{path}?dry_run=true" if dry_run else path, body, condition)
    result = "is left where it is" if dry_run else f"is version {number}"
    show(document, as_json, "\n".join([*checks_lines(document["checks"]), f"{name}: {alias_name} {result}"]))


def _list_aliases(remote: Remote, as_json: bool, name: str) -> None:
    document = remote.get(address("models", name, "aliases"))
    rows = [[entry["alias"], str(entry["version"]), entry["updated_at"]] for entry in document["aliases"]]
    text = table([["ALIAS", "VERSION", "SINCE"], *rows]) if rows else f"{name} has no aliases."
    show(document, as_json, text)
