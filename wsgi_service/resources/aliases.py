"""Aliases: /models/{name}/aliases, movable names for versions."""

from msgspec import Struct
from werkzeug.wrappers import Request, Response

from model_store.entities import MAX_VERSION
from model_store.registry import Registry
from wsgi_service.inputs.errors import InvalidRequest
from wsgi_service.requests import attribution, check_media_type, integer_parameter, read_json
from wsgi_service.responses import created, json_response, no_content


class Pointer(Struct):
    """The body that moves an alias."""

    version: int


class Aliases:
    """The movable names of a model's versions."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def list(self, _request: Request, model: str) -> Response:
        """List a model's aliases by name."""
        return json_response({"aliases": self._registry.aliases(model)})

    def read(self, _request: Request, model: str, alias: str) -> Response:
        """Read which version an alias points to."""
        return json_response(self._registry.alias(model, alias))

    def put(self, request: Request, model: str, alias: str) -> Response:
        """Point an alias to a version, from the body or the query string."""
        number = _number(request)
        pointer, new = self._registry.set_alias(model, alias, number, attribution(request))
        return created(pointer, f"/models/{model}/aliases/{alias}", new)

    def delete(self, request: Request, model: str, alias: str) -> Response:
        """Delete an alias."""
        self._registry.delete_alias(model, alias, attribution(request))
        return no_content()


def _number(request: Request) -> int:
    if "version" in request.args:
        return integer_parameter(request, "version", 1, 1, MAX_VERSION)
    if not request.content_length and "Transfer-Encoding" not in request.headers:
        raise InvalidRequest('Say which version: ?version=3, or {"version": 3} as JSON.')
    check_media_type(request, ("application/json",))
    body, _ = read_json(request, Pointer)
    if not 1 <= body.version <= MAX_VERSION:
        raise InvalidRequest(f"version must be a whole number from 1 to {MAX_VERSION}.")
    return body.version
