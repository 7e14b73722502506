"""One request: find the route, guard it, call it, and turn every error into a problem document."""

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from werkzeug.routing import Map
from werkzeug.wrappers import Request

from wsgi_service.access.admission import Exposure
from wsgi_service.access.grants import GRANT, check_model
from wsgi_service.at_once import current_turn, elsewhere, must_not_wait
from wsgi_service.errors import Busy
from wsgi_service.http.budget import Budget, size_for
from wsgi_service.http.problems import known, problem
from wsgi_service.http.requests import (
    ACTOR,
    BODY_LIMIT,
    BUDGET,
    ROUTE,
    check_media_type,
    request_id,
    take_query_apart,
)
from wsgi_service.pages.errors import error_page, is_page
from wsgi_service.routes import Route, Work
from wsgi_service.settings import MEGABYTE, RESERVED_THREADS, Settings

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
        settings: body limits are used.
        slots: for heavy work.
    """

    def __init__(self, url_map: Map, exposure: Exposure, settings: Settings, slots: "Slots") -> None:
        self._matches = Matches(url_map)
        self._exposure = exposure
        self._settings = settings
        self._slots = slots
        self._budget = Budget(size_for(settings.predict_limit * MEGABYTE))

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """The WSGI interface (PEP 3333)."""
        request = Request(environ, populate_request=False)  # they would hold each other until a collection
        return self.respond(request)(environ, start_response)

    def respond(self, request: Request) -> "WSGIApplication":
        """The answer to a request, whatever happens."""
        try:
            return self._take_up() or self._call(request)
        except Exception as error:  # the one place where nothing may escape
            if isinstance(error, MemoryError):
                log.error("request %s ran out of memory", request_id(request), extra=_fields(request))  # noqa: TRY400
            if not known(error):
                log.exception("request %s failed", request_id(request), extra=_fields(request))
            if is_page(request):
                return error_page(error, request, request_id(request))
            return problem(error, request.path, request_id(request))

    def _take_up(self) -> "WSGIApplication | None":
        """The answer to a request that was put off, None if this one was not."""
        turn = current_turn()
        if turn is None or turn.rest is None:
            return None
        if must_not_wait():
            return turn.rest()  # type: ignore[no-any-return]
        self._slots.take(Work.PREDICT)
        try:
            return turn.rest()  # type: ignore[no-any-return]
        finally:
            self._slots.give_back(Work.PREDICT)

    def _call(self, request: Request) -> "WSGIApplication":
        self._exposure.check_host(request.headers)
        route, arguments = self._matches.find(request.path, request.method)
        self._admit(request, route, arguments.get("model"))
        request.environ[ROUTE] = route.path
        request.environ[BODY_LIMIT] = route.body_limit(self._settings)
        request.environ[BUDGET] = self._budget
        if accepted := getattr(route.call, "consumes", None):
            check_media_type(request, accepted)
        if BROWSERS & request.environ.keys():
            self._exposure.check_origin(request.method, request.headers)
        self._slots.take(route.work)
        try:
            take_query_apart(request)
            if request.environ.get("QUERY_STRING") and (operation := getattr(route.call, "operation", None)):
                operation.check_parameters(request.args.keys())
            if not getattr(route.call, "at_once", False):
                elsewhere(lasting=False)
            response: WSGIApplication = route.call(request, **arguments)
            return response
        finally:
            self._slots.give_back(route.work)

    def _admit(self, request: Request, route: Route, model: str | None) -> None:
        """Leave who asks beside the request. Raises if they may not, or if there is no such model for them."""
        environ = request.environ
        grant = self._exposure.authenticate(route, request.headers, environ.get("REMOTE_ADDR", ""))
        environ[ACTOR] = grant.actor
        if grant.restricted:
            environ[GRANT] = grant
            if model is not None:
                check_model(request, model)


def _fields(request: Request) -> dict[str, dict[str, str]]:
    """What a line of the log about a request carries for programs."""
    return {"fields": {"request_id": request_id(request)}}


class Slots:
    """How much heavy work is done at a time, so that health and registry always have a thread.

    Args:
        threads: that answer requests.
    """

    def __init__(self, threads: int) -> None:
        heavy, urgent = _Counted(threads - RESERVED_THREADS), _Counted(RESERVED_THREADS // 2)
        self._counted = {Work.PREDICT: heavy, Work.UPLOAD: heavy, Work.URGENT: urgent}
        self._lock = threading.Lock()

    def take(self, work: Work) -> None:
        """Take a slot, without waiting for one. Raises Busy."""
        counted = self._counted.get(work)
        if counted is None:
            return
        with self._lock:
            if not counted.free:
                raise Busy("All slots for this kind of work are taken. Try again in a moment.")
            counted.free -= 1

    def give_back(self, work: Work) -> None:
        """Let somebody else have it."""
        if counted := self._counted.get(work):
            with self._lock:
                counted.free += 1

    def full(self, work: Work) -> bool:
        """Whether whoever came now would be refused."""
        counted = self._counted.get(work)
        return counted is not None and not counted.free


class _Counted:
    def __init__(self, free: int) -> None:
        self.free = free


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
