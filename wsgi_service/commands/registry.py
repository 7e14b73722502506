"""`wsgi-service models`, `versions`, `activate`, `alias` and `lift`: look at a registry, move its aliases."""

from typing import Any

import click

from model_store.entities import LIVE
from wsgi_service.commands.options import server_options, show, table
from wsgi_service.remote import Remote, address

PAGE = 1000


@click.command()
@server_options
def models(remote: Remote, as_json: bool) -> None:
    """List the models."""
    found = _all_models(remote)
    rows = [
        [
            model["name"],
            str(model["versions"]),
            _pointers(model["aliases"]),
            model["description"] or "",
        ]
        for model in found
    ]
    heading = ["MODEL", "VERSIONS", "ALIASES", "DESCRIPTION"]
    show({"models": found}, as_json, table([heading, *rows]) if rows else "There are no models yet.")


@click.command()
@click.argument("name")
@server_options
def versions(name: str, remote: Remote, as_json: bool) -> None:
    """List the versions of the model NAME."""
    document = remote.get(address("models", name, "versions"))
    rows = [
        [
            str(version["version"]),
            version["state"],
            ", ".join(version["aliases"]),
            version["estimator"],
            version["created_at"],
        ]
        for version in document["versions"]
    ]
    heading = ["VERSION", "STATE", "ALIASES", "ESTIMATOR", "CREATED"]
    show(document, as_json, table([heading, *rows]) if rows else f"{name} has no versions.")


@click.command()
@click.argument("name")
@click.argument("number", type=click.IntRange(1))
@server_options
def activate(name: str, number: int, remote: Remote, as_json: bool) -> None:
    """Point the alias `live` of the model NAME to version NUMBER."""
    _point(remote, as_json, name, LIVE, number)


@click.command()
@click.argument("name")
@click.argument("alias_name", metavar="[ALIAS]", required=False)
@click.argument("number", type=click.IntRange(1), required=False)
@click.option("--delete", is_flag=True, help="Delete the alias.")
@server_options
def alias(
    name: str,
    alias_name: str | None,
    number: int | None,
    delete: bool,
    remote: Remote,
    as_json: bool,
) -> None:
    """List the aliases of the model NAME, or point ALIAS to version NUMBER, or delete it."""
    if alias_name is None:
        _list_aliases(remote, as_json, name)
    elif delete:
        remote.delete(address("models", name, "aliases", alias_name))
        show({"deleted": alias_name}, as_json, f"{name}: {alias_name} is deleted")
    elif number is None:
        raise click.UsageError("Give the version that the alias is to point to, or --delete.")
    else:
        _point(remote, as_json, name, alias_name, number)


@click.command()
@click.argument("name")
@click.argument("number", type=click.IntRange(1))
@server_options
def lift(name: str, number: int, remote: Remote, as_json: bool) -> None:
    """Let version NUMBER of the model NAME serve again that is in quarantine."""
    remote.delete(address("models", name, "versions", number, "quarantine"))
    show({"lifted": number}, as_json, f"{name}: version {number} serves again")


def _point(remote: Remote, as_json: bool, name: str, alias_name: str, number: int) -> None:
    document = remote.send_json("PUT", address("models", name, "aliases", alias_name), {"version": number})
    show(document, as_json, f"{name}: {alias_name} is version {document['version']}")


def _list_aliases(remote: Remote, as_json: bool, name: str) -> None:
    document = remote.get(address("models", name, "aliases"))
    rows = [[entry["alias"], str(entry["version"]), entry["updated_at"]] for entry in document["aliases"]]
    text = table([["ALIAS", "VERSION", "SINCE"], *rows]) if rows else f"{name} has no aliases."
    show(document, as_json, text)


def _all_models(remote: Remote) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        page = remote.get(f"/models?limit={PAGE}{token}")
        found += page["models"]
        if "next_page_token" not in page:
            return found
        token = f"&page_token={page['next_page_token']}"


def _pointers(aliases: dict[str, int]) -> str:
    return ", ".join(f"{name}={number}" for name, number in aliases.items())
