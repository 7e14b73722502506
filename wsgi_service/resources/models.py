"""Models: /models and /models/{name}."""

import base64
import binascii
import re

from msgspec import UNSET, Struct
from werkzeug.wrappers import Request, Response

from model_store.catalog import Catalog
from model_store.entities import NAME_PATTERN, Model, Tags, check_name
from model_store.registry import Registry
from wsgi_service.access.grants import check_new_model, sees
from wsgi_service.errors import InvalidRequest
from wsgi_service.http.preconditions import guard, representation
from wsgi_service.http.representations import EventPage, ModelPage
from wsgi_service.http.requests import change_by, consumes, integer_parameter
from wsgi_service.http.responses import changed, no_content
from wsgi_service.openapi.operations import REASON, operation, text, whole_number
from wsgi_service.resources.changes import read_json

#: The largest id of an event that a page can begin behind.
MAX_EVENT = 10**12 - 1
#: Models that are read from the registry at once.
MOST_READ = 1001
LIMIT = whole_number("limit", "Entries on the page.", 1, 1000)


class NewModel(Struct):
    """The body that creates a model."""

    name: str
    description: str | None = None
    tags: Tags | None = None


class ModelChanges(Struct):
    """The keys of a model that can be changed; null takes one back."""

    description: str | None = None
    tags: Tags | None = None


class Models:
    """The named lines of versions."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @operation(ModelPage, parameters=(LIMIT, text("page_token", "From the page before.")))
    def list(self, request: Request) -> Response:
        """List the models by name, in pages."""
        limit = integer_parameter(request, "limit", 100, 1, 1000)
        models = visible(request, self._catalog.registry, limit + 1, _read_token(request.args.get("page_token")))
        token = _write_token(models[limit - 1].name) if len(models) > limit else UNSET
        return representation(request, ModelPage(models[:limit], token))

    @consumes("application/json")
    @operation({201: Model}, body=NewModel, parameters=(REASON,), fails=(409,), guarded=True)
    def create(self, request: Request) -> Response:
        """Create a model without versions."""
        body, _ = read_json(request, NewModel)
        check_new_model(request, check_name(body.name))
        guard(request)(None)
        model = self._catalog.create_model(body.name, body.description, body.tags, change_by(request))
        return changed(model, model, f"/models/{model.name}")

    @operation(Model)
    def read(self, request: Request, model: str) -> Response:
        """Read a model."""
        return representation(request, self._catalog.registry.model(model))

    @operation(EventPage, parameters=(LIMIT, whole_number("page_token", "From the page before.", 1, MAX_EVENT)))
    def history(self, request: Request, model: str) -> Response:
        """Read what happened to a model, oldest first, in pages; it outlives the model."""
        limit = integer_parameter(request, "limit", 1000, 1, 1000)
        after = integer_parameter(request, "page_token", 0, 1, MAX_EVENT)
        events = self._catalog.registry.events(model, limit + 1, after)
        if not events and not (after and self._catalog.registry.events(model, 1)):
            self._catalog.registry.model(model)  # raises: a model without any history was never there
        token = str(events[limit - 1].id) if len(events) > limit else UNSET
        return representation(request, EventPage(events[:limit], token))

    @consumes("application/json")
    @operation(Model, body=ModelChanges, parameters=(REASON,), guarded=True)
    def update(self, request: Request, model: str) -> Response:
        """Change the keys given of a model; null takes one back."""
        _, changes = read_json(request, ModelChanges)
        updated = self._catalog.update_model(model, changes, change_by(request), guard(request))
        return changed(updated, updated)

    @operation({204: None}, parameters=(REASON,), guarded=True)
    def delete(self, request: Request, model: str) -> Response:
        """Delete a model with all its versions and aliases."""
        self._catalog.delete_model(model, change_by(request), guard(request))
        return no_content()


def visible(request: Request, registry: Registry, limit: int, after: str) -> list[Model]:
    """The models that there are for whoever asks, by name, beginning behind one; as many as `limit`."""
    found: list[Model] = []
    while len(found) < limit and (some := registry.models(MOST_READ, after)):
        found += [model for model in some if sees(request, model.name)]
        after = some[-1].name
        if len(some) < MOST_READ:
            break
    return found[:limit]


def _write_token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _read_token(token: str | None) -> str:
    """The name that a page begins behind. Raises InvalidRequest."""
    if token is None:
        return ""
    try:
        name = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        name = ""
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidRequest("page_token is not one that this server gave.")
    return name
