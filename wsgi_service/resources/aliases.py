"""Aliases: /models/{name}/aliases, movable names for versions."""

import msgspec
from msgspec import Struct
from werkzeug.wrappers import Request, Response

from model_store.entities import MAX_VERSION, Alias
from model_store.proof.alias_moves import Switch, Switchboard, Switched
from model_store.registry import Registry
from wsgi_service.errors import InvalidRequest
from wsgi_service.http import representations
from wsgi_service.http.preconditions import guard, representation
from wsgi_service.http.representations import AliasList, RolledBack
from wsgi_service.http.requests import (
    change_by,
    check_media_type,
    flag_parameter,
    has_body,
    integer_parameter,
)
from wsgi_service.http.responses import changed, json_response, no_content
from wsgi_service.openapi.operations import REASON, flag, operation, whole_number
from wsgi_service.resources.changes import read_json


class Pointer(Struct):
    """The body that moves an alias."""

    version: int
    reason: str | None = None
    force: bool = False


class Return(Struct):
    """The body that takes an alias back."""

    reason: str | None = None
    expected: int | None = msgspec.field(name="from", default=None)


class Aliases:
    """The movable names of a model's versions.

    Args:
        registry: where they are.
        switchboard: moves them.
        strict: whether moving one that is there needs If-Match.
    """

    def __init__(self, registry: Registry, switchboard: Switchboard, strict: bool = False) -> None:
        self._registry = registry
        self._switchboard = switchboard
        self._strict = strict

    @operation(AliasList)
    def list(self, request: Request, model: str) -> Response:
        """List a model's aliases by name."""
        return representation(request, AliasList(self._registry.aliases(model)))

    @operation(Alias)
    def read(self, request: Request, model: str, alias: str) -> Response:
        """Read which version an alias points to."""
        return representation(request, self._registry.alias(model, alias))

    @operation(
        {200: representations.Switched, 201: representations.Switched},
        body=Pointer,
        body_optional=True,
        parameters=(
            whole_number("version", "Where to point it, for a request without a body."),
            REASON,
            flag("force", "Move it although a check failed."),
            flag("dry_run", "Make the checks only."),
        ),
        fails=(409,),
        guarded=True,
    )
    def put(self, request: Request, model: str, alias: str) -> Response:
        """Point an alias to a version, from the body or the query string, if the version passes its checks."""
        pointer, dry_run = _read_pointer(request), flag_parameter(request, "dry_run")
        switch = Switch(
            model=model,
            alias=alias,
            version=pointer.version,
            force=pointer.force,
            dry_run=dry_run,
            guard=guard(request, required=self._strict and not dry_run),
        )
        return _switched(self._switchboard.activate(switch, change_by(request, pointer.reason)))

    @operation(
        RolledBack,
        body=Return,
        body_optional=True,
        parameters=(whole_number("from", "The version that it is thought to point to."), REASON),
        fails=(409,),
        guarded=True,
    )
    def roll_back(self, request: Request, model: str, alias: str) -> Response:
        """Point an alias to what it pointed to before."""
        body = _read_return(request)
        check = guard(request, required=self._strict and body.expected is None)
        by = change_by(request, body.reason)
        before, pointer = self._switchboard.roll_back(model, alias, by, body.expected, check)
        return changed(RolledBack(model, alias, before, pointer.version), pointer)

    @operation({204: None}, parameters=(REASON,), guarded=True)
    def delete(self, request: Request, model: str, alias: str) -> Response:
        """Delete an alias."""
        check = guard(request, required=self._strict)
        self._registry.delete_alias(model, alias, change_by(request), check)
        return no_content()


def _switched(switched: Switched) -> Response:
    if switched.alias is None:
        return json_response(representations.Switched(checks=switched.checks))
    alias = switched.alias
    location = f"/models/{alias.model}/aliases/{alias.alias}" if switched.new else None
    said = representations.Switched(**msgspec.structs.asdict(alias), checks=switched.checks)
    return changed(said, alias, location)


def _read_pointer(request: Request) -> Pointer:
    """What is asked for, from the body or from the query string, where one of them must be silent."""
    if not has_body(request):
        if "version" not in request.args:
            raise InvalidRequest('Say which version: ?version=3, or {"version": 3} as JSON.')
        number = integer_parameter(request, "version", 1, 1, MAX_VERSION)
        return Pointer(number, force=flag_parameter(request, "force"))
    _check_said_once(request, "version", "force", "reason")
    check_media_type(request, ("application/json",))
    body, _ = read_json(request, Pointer)
    if not 1 <= body.version <= MAX_VERSION:
        raise InvalidRequest(f"version must be a whole number from 1 to {MAX_VERSION}.")
    return body


def _read_return(request: Request) -> Return:
    if not has_body(request):
        number = integer_parameter(request, "from", 0, 1, MAX_VERSION)
        return Return(expected=number or None)
    _check_said_once(request, "from", "reason")
    check_media_type(request, ("application/json",))
    body, _ = read_json(request, Return)
    return body


def _check_said_once(request: Request, *names: str) -> None:
    """Raises InvalidRequest if a request with a body has in its query string what belongs in the body."""
    if beside := [name for name in names if name in request.args]:
        raise InvalidRequest(
            f"The request has a body: {', '.join(beside)} must stand in it, not in the query string."
        )
