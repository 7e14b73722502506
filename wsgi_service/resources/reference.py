"""The interface described: OpenAPI documents of the server and of each version, and pages that show them."""

from collections.abc import Callable
from functools import lru_cache

from werkzeug.exceptions import NotFound
from werkzeug.routing import Map
from werkzeug.wrappers import Request, Response

from model_store.registry import Registry
from wsgi_service import __version__
from wsgi_service.http.preconditions import representation
from wsgi_service.openapi import viewer
from wsgi_service.openapi.document import document
from wsgi_service.openapi.operations import JsonSchema, operation
from wsgi_service.openapi.version_document import version_document
from wsgi_service.pages.rendering import VIEWER_POLICY, page
from wsgi_service.routes import Scope

DOCUMENT = {200: {"application/json": {"type": "object"}}}


class Reference:
    """What can be asked of this server.

    Args:
        registry: where the versions are.
        url_map: gives the map of all addresses, once it is there.
        secured: says for which scopes the server wants a token.
    """

    def __init__(
        self, registry: Registry, url_map: Callable[[], Map], secured: Callable[[], frozenset[Scope]]
    ) -> None:
        self._registry = registry
        self._url_map = url_map
        self._secured = secured

    @lru_cache(maxsize=4)  # noqa: B019 - it lives as long as the server
    def _document(self, secured: frozenset[Scope]) -> JsonSchema:
        return document(self._url_map(), __version__, secured)

    @operation(DOCUMENT)
    def server(self, request: Request) -> Response:
        """Read the OpenAPI document of the server."""
        return representation(request, self._document(self._secured()))

    @operation(DOCUMENT)
    def version(self, request: Request, model: str, number: int) -> Response:
        """Read the OpenAPI document of a version, with its own columns, categories, classes and a sample."""
        found = self._registry.version(model, number)
        return representation(request, version_document(found, __version__, Scope.PREDICT in self._secured()))

    def show(self, _request: Request) -> Response:
        """Show the document of the server as a page from which requests can be sent."""
        return _viewer("wsgi-service", "/openapi.json")

    def show_version(self, _request: Request, model: str, number: int) -> Response:
        """Show the document of a version likewise."""
        self._registry.version(model, number)
        return _viewer(f"{model} version {number}", f"/models/{model}/versions/{number}/openapi.json")

    def file(self, _request: Request, file: str) -> Response:
        """One of the files that these pages are made of."""
        if file not in viewer.FILES:
            raise NotFound
        content, media_type = viewer.content(file)
        return Response(content, headers={"Cache-Control": "max-age=86400"}, content_type=media_type)


def _viewer(title: str, address: str) -> Response:
    viewer.folder()  # raises if the files are not there, before a page without them is
    return page("viewer.html", policy=VIEWER_POLICY, title=title, address=address)
