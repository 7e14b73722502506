"""`wsgi-service models`, `versions`, `history` and `lift`: look at what is registered."""

from typing import Any

import click

from wsgi_service.client.remote import Remote, address
from wsgi_service.commands.options import server_options, show, table

PAGE = 1000


@click.command()
@server_options
def models(remote: Remote, as_json: bool) -> None:
    """List the models."""
    found = _all_pages(remote, "/models", "models")
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
@server_options
def history(name: str, remote: Remote, as_json: bool) -> None:
    """List what happened to the model NAME, oldest first."""
    events = _all_pages(remote, address("models", name, "history"), "events")
    rows = [
        [event["at"], event["actor"], event["action"], _what(event), event["reason"] or ""] for event in events
    ]
    show({"events": events}, as_json, table([["TIME", "ACTOR", "ACTION", "WHAT", "REASON"], *rows]))


@click.command()
@click.argument("name")
@click.argument("number", type=click.IntRange(1))
@server_options
def lift(name: str, number: int, remote: Remote, as_json: bool) -> None:
    """Let version NUMBER of the model NAME serve again that is in quarantine."""
    remote.delete(address("models", name, "versions", number, "quarantine"))
    show({"lifted": number}, as_json, f"{name}: version {number} serves again")


def _all_pages(remote: Remote, path: str, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        page = remote.get(f"{path}?limit={PAGE}{token}")
        found += page[key]
        if "next_page_token" not in page:
            return found
        token = f"&page_token={page['next_page_token']}"


def _pointers(aliases: dict[str, int]) -> str:
    return ", ".join(f"{name}={number}" for name, number in aliases.items())


def _what(event: dict[str, Any]) -> str:
    """What an event was about: an alias with where it was and is, or a version."""
    before, after = (event[key] or {} for key in ("before", "after"))
    if event["alias"]:
        was, is_ = (side.get("version") or "nothing" for side in (before, after))
        return f"{event['alias']}: {was} -> {is_}{' by force' if after.get('forced') else ''}"
    return f"version {event['version']}" if event["version"] else ""
