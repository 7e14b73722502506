"""One request: find the route, guard it, call it, and turn every error into a problem document."""

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from werkzeug.routing import Map
from werkzeug.wrappers import Request

from wsgi_service.exposure import Exposure
from wsgi_service.pages.errors import error_page, is_page
from wsgi_service.problems import known, problem
from wsgi_service.requests import ACTOR, BODY_LIMIT, check_media_type, request_id
from wsgi_service.routes import Route, Work
from wsgi_service.serving.errors import Busy
from wsgi_service.settings import RESERVED_THREADS, Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

#: Browsers say at least one of these where a page of another site had them send something.
BROWSERS = frozenset({"HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE"})
#: Addresses that are remembered; then it begins anew.
REMEMBERED = 4096


class Dispatcher:
    """The WSGI application inside the middleware.

    Args:
        url_map: from `routes.build`.
        exposure: decides who may ask.
        settings: threads and body limits are used.
    """

    def __init__(self, url_map: Map, exposure: Exposure, settings: Settings) -> None:
        self._matches = Matches(url_map)
        self._exposure = exposure
        self._settings = settings
        heavy = threading.BoundedSemaphore(settings.threads - RESERVED_THREADS)
        urgent = threading.BoundedSemaphore(RESERVED_THREADS // 2)
        self._slots = {Work.PREDICT: heavy, Work.UPLOAD: heavy, Work.URGENT: urgent}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """The WSGI interface (PEP 3333)."""
        request = Request(environ, populate_request=False)  # they would hold each other until a collection
        return self.respond(request)(environ, start_response)

    def respond(self, request: Request) -> "WSGIApplication":
        """The answer to a request, whatever happens."""
        try:
            return self._call(request)
        except Exception as error:  # the one place where nothing may escape
            if not known(error):
                log.exception("request %s failed", request_id(request))
            if is_page(request):
                return error_page(error, request, request_id(request))
            return problem(error, request.path, request_id(request))

    def _call(self, request: Request) -> "WSGIApplication":
        self._exposure.check_host(request.headers)
        route, arguments = self._matches.find(request.path, request.method)
        request.environ[ACTOR] = self._exposure.authenticate(route, request.headers)
        request.environ[BODY_LIMIT] = route.body_limit(self._settings)
        if accepted := getattr(route.call, "consumes", None):
            check_media_type(request, accepted)
        if BROWSERS & request.environ.keys():
            self._exposure.check_origin(request.method, request.headers)
        return self._in_a_slot(route, request, arguments)

    def _in_a_slot(self, route: Route, request: Request, arguments: Mapping[str, Any]) -> "WSGIApplication":
        """What a route answers; heavy work has counted slots, taken without waiting. Raises Busy."""
        slots = self._slots.get(route.work)
        if slots is not None and not slots.acquire(blocking=False):
            raise Busy("All slots for this kind of work are taken. Try again in a moment.")
        try:
            response: WSGIApplication = route.call(request, **arguments)
            return response
        finally:
            if slots is not None:
                slots.release()


class Matches:
    """Which routes addresses lead to. What was found is remembered: most requests are for a few addresses.

    Args:
        url_map: from `routes.build`.
    """

    def __init__(self, url_map: Map) -> None:
        self._adapter = url_map.bind("localhost")
        self._found: dict[tuple[str, str], tuple[Route, Mapping[str, Any]]] = {}

    def find(self, path: str, method: str) -> tuple[Route, Mapping[str, Any]]:
        """The route of an address and its arguments. Raises NotFound or MethodNotAllowed."""
        path = "/" + path.lstrip("/")  # as the map does; else there were no end to what one address is written as
        found = self._found.get((path, method))
        if found is None:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            found = self._found[path, method] = self._adapter.match(path, method)
        return found
