"""`wsgi-service token`: makes, lists and revokes the tokens of a data folder, with or without a server at work."""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from model_store.entities import Attribution, check_name, rfc3339
from model_store.errors import StoreError
from model_store.opening import open_catalog
from model_store.registry import Registry
from model_store.tokens import ALL_MODELS, GLOB, GLOB_RULE, SCOPES, Token, TokenScope, issue
from wsgi_service.commands.options import data_option, table

DURATION = re.compile(r"([1-9][0-9]{0,4})([dh])")
MAY = {
    "read": "may look at models",
    "predict": "may look at models and predict",
    "write": "may look, predict, upload and switch",
    "admin": "may do everything, delete included",
}


@click.group()
def token() -> None:
    """Tokens for people and programs. As soon as there is one, a server answers nobody without."""


@token.command()
@click.option("--scope", required=True, type=click.Choice(SCOPES), help="What for; each includes those before it.")
@click.option("--model", "models", default=ALL_MODELS, show_default=True, help=f"For which models: {GLOB_RULE}.")
@click.option("--name", default="", help="What histories and logs call its holder; otherwise the token's id.")
@click.option("--expires", default=None, help="After how long, such as 90d or 12h, or on which date, 2030-01-31.")
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def create(scope: TokenScope, models: str, name: str, expires: str | None, folder: Path, as_json: bool) -> None:
    """Make a token. It is shown once, and only its digest is kept."""
    if not GLOB.fullmatch(models):
        raise click.BadParameter(f"That is {GLOB_RULE}.", param_hint="'--model'")
    until = None if expires is None else _moment(expires)
    with _registry(folder) as registry:
        first = not registry.tokens()
        made, secret = issue(check_name(name, "token's") if name else "", scope, models, until)
        registry.add_token(made, _by())
    if as_json:
        click.echo(json.dumps({"token": secret, **_public(made)}))
        return
    click.echo(f"token    {secret}")
    click.echo(f"id       {made.id}")
    click.echo(f"scope    {scope}: {MAY[scope]}")
    click.echo(f"models   {models}")
    click.echo(f"expires  {until or 'never'}")
    click.echo("note     It is not shown again. Send it as: Authorization: Bearer TOKEN")
    if first:
        click.echo(
            "note     This is the first token: from now on everything but health and the front page needs one."
        )


@token.command("list")
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def list_tokens(folder: Path, as_json: bool) -> None:
    """List all tokens, the revoked ones as well."""
    with _registry(folder) as registry:
        found = registry.tokens()
    if as_json:
        click.echo(json.dumps({"tokens": [_public(one) for one in found]}))
        return
    heading = ["ID", "NAME", "SCOPE", "MODELS", "CREATED", "EXPIRES", "STATE"]
    rows = [
        [one.id, one.name, one.scope, one.models, one.created_at, one.expires_at or "never", _state(one)]
        for one in found
    ]
    click.echo(table([heading, *rows]))


@token.command()
@click.argument("token_", metavar="ID_OR_NAME")
@data_option
def revoke(token_: str, folder: Path) -> None:
    """Let the holder of a token in no more; servers know within a tenth of a second."""
    with _registry(folder) as registry:
        gone = registry.revoke_token(token_, _by())
    click.echo(f"revoked  {gone.id} ({gone.name})")


@contextmanager
def _registry(folder: Path) -> Iterator[Registry]:
    """The registry of a data folder; what goes wrong is said in a line."""
    try:
        catalog = open_catalog(folder)
        try:
            yield catalog.registry
        finally:
            catalog.registry.close()
    except (StoreError, RuntimeError, OSError) as error:
        raise click.ClickException(str(error)) from None


def _by() -> Attribution:
    return Attribution("command line", uuid.uuid4().hex)


def _public(one: Token) -> dict[str, Any]:
    """Everything that anybody may know of a token."""
    known: dict[str, Any] = msgspec.to_builtins(one)
    del known["digest"]
    return known | {"state": _state(one)}


def _state(one: Token) -> str:
    if one.revoked_at:
        return "revoked"
    return "expired" if one.ended else "active"


def _moment(text: str) -> str:
    """When a token ends, in RFC 3339. Raises BadParameter."""
    if found := DURATION.fullmatch(text):
        hours = int(found[1]) * (24 if found[2] == "d" else 1)
        return rfc3339(datetime.now(UTC) + timedelta(hours=hours))
    try:
        moment = datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise click.BadParameter(
            "That is how long, such as 90d or 12h, or a date such as 2030-01-31.", param_hint="'--expires'"
        ) from None
    if moment <= datetime.now(UTC):
        raise click.BadParameter("This date has passed.", param_hint="'--expires'")
    return rfc3339(moment)
