"""What the forms of the pages do: upload a model, point an alias, go back, log in and out."""

import re
from typing import Any

from werkzeug.wrappers import Request, Response

from model_store.catalog import Catalog
from model_store.entities import MAX_VERSION, Alias, Guard, check_name
from model_store.errors import AliasMoved, ChecksFailed, NothingBefore, Refused, RehearsalFailed, StoreError
from model_store.proof.alias_moves import Switch, Switchboard
from model_store.publication import Publication
from wsgi_service.access import sessions
from wsgi_service.access.admission import Exposure
from wsgi_service.access.grants import check_new_model
from wsgi_service.errors import InvalidRequest
from wsgi_service.http.forms import read_form
from wsgi_service.http.problems import Problem
from wsgi_service.http.requests import change_by, claim_for, consumes, names_parameter, read_fields
from wsgi_service.pages.rendering import page
from wsgi_service.resources.pages import FIELDS, Pages
from wsgi_service.rows.bodies import FORM
from wsgi_service.rows.formats import form_body
from wsgi_service.serving.uploads import Uploads

OWN = re.compile(r"/ui(/[a-z0-9][a-z0-9._-]*)*")


class PageActions:
    """Changes that are made from a page; each leads back to a page.

    Args:
        catalog: where models are.
        uploads: publishes them.
        switchboard: moves aliases.
        pages: shows what came of it.
        exposure: gives a session for a token, and ends it.
    """

    def __init__(
        self,
        catalog: Catalog,
        uploads: Uploads,
        switchboard: Switchboard,
        pages: Pages,
        exposure: Exposure,
    ) -> None:
        self._catalog = catalog
        self._uploads = uploads
        self._switchboard = switchboard
        self._pages = pages
        self._exposure = exposure

    @consumes(FORM)
    def upload(self, request: Request) -> Response:
        """Publish the file of a form under the name that stands in it."""
        try:
            with read_form(request, self._catalog.artifacts.incoming) as form:
                name = check_name(form.fields.get("name", ""))
                check_new_model(request, name)
                names = names_parameter([form.fields.get("class_names", "")], "class_names")
                options = Publication(class_names=names)
                version, _ = self._uploads.publish(name, form.artifact(), change_by(request), options)
        except (StoreError, Problem, InvalidRequest) as error:
            return page("refused.html", _status(error), failed=_words(error), report=_report(error))
        return _see(f"/ui/models/{version.model}/versions/{version.version}")

    @consumes(FIELDS)
    def move(self, request: Request, model: str) -> Response:
        """Point the alias that a form names to the version that it names, if it passes its checks."""
        fields = form_body.parse(read_fields(request), claim_for(request))
        alias = check_name(fields.get("alias", ""), "alias")
        switch = Switch(
            model=model,
            alias=alias,
            version=_number(fields.get("version", "")),
            force=fields.get("force") == "true",
            guard=_seen(fields.get(f"seen_{alias}", "")),
        )
        try:
            self._switchboard.activate(switch, change_by(request, fields.get("reason")))
        except ChecksFailed as error:
            asked = {"alias": alias, "version": switch.version, "reason": fields.get("reason", "")}
            return self._pages.show_model(request, model, 409, failed=str(error), checks=error.checks, asked=asked)
        except AliasMoved as error:
            return self._pages.show_model(request, model, 409, failed=str(error))
        return _see(f"/ui/models/{model}")

    @consumes(FIELDS)
    def roll_back(self, request: Request, model: str, alias: str) -> Response:
        """Point an alias to what it pointed to before."""
        fields = form_body.parse(read_fields(request), claim_for(request))
        by, expected = change_by(request, fields.get("reason")), fields.get("seen")
        try:
            self._switchboard.roll_back(model, alias, by, _number(expected) if expected else None)
        except (AliasMoved, NothingBefore, RehearsalFailed) as error:
            return self._pages.show_model(request, model, 409, failed=str(error))
        return _see(f"/ui/models/{model}")

    def ask_for_token(self, _request: Request) -> Response:
        """The form that takes a token."""
        return page("login.html", failed=None, next="/ui")

    @consumes(FIELDS)
    def log_in(self, request: Request) -> Response:
        """Give a browser that knows the token a session."""
        fields = form_body.parse(read_fields(request), claim_for(request))
        onwards = _own_address(fields.get("next", ""))
        cookie = self._exposure.log_in(fields.get("token", ""), request.remote_addr or "")
        if cookie is None:
            return page(
                "login.html", 401, failed="This is no token of this server, or it has ended.", next=onwards
            )
        response = _see(onwards)
        sessions.begin(response, cookie, secure=request.scheme == "https")
        return response

    def log_out(self, request: Request) -> Response:
        """End a session: whoever has a copy of its cookie has nothing."""
        self._exposure.log_out(request.headers.get("Cookie", ""))
        response = _see("/ui")
        sessions.end(response)
        return response


def _see(address: str) -> Response:
    """Leads to another page, which the browser gets with GET."""
    return Response(status=303, headers={"Location": address})


def _own_address(address: str) -> str:
    """A page of ours; anything else is the first one."""
    return address if OWN.fullmatch(address) else "/ui"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= MAX_VERSION):  # noqa: PLR2004
        raise InvalidRequest(f"The version must be a whole number from 1 to {MAX_VERSION}.")
    return int(text)


def _seen(text: str) -> Guard:
    """A guard that lets an alias be moved only from where the page said it was; empty if it was not there."""

    def check(there: Alias | None) -> None:
        if (str(there.version) if there else "") != text:
            raise AliasMoved("Somebody moved this alias since the page was made. Look where it points now.")

    return check


def _status(error: Exception) -> int:
    return error.code or 422 if isinstance(error, Problem) else 422


def _words(error: Exception) -> str:
    return (error.detail if isinstance(error, Problem) else None) or str(error)


def _report(error: Exception) -> Any:
    return error.report if isinstance(error, Refused) else None
