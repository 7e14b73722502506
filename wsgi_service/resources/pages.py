"""Pages for people: the models, one model, one version with its form and its results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Request, Response

from model_store.catalog import Catalog
from model_store.entities import LIVE, Version
from model_store.methods import usual_method
from wsgi_service.errors import (
    InputError,
    InvalidRows,
    PredictFailed,
    ResultTooLarge,
    RowError,
)
from wsgi_service.http.problems import Problem
from wsgi_service.http.representations import Index
from wsgi_service.http.requests import attribution, claim_for, consumes, read_fields
from wsgi_service.openapi.operations import operation
from wsgi_service.pages import assets
from wsgi_service.pages.commands import commands_of
from wsgi_service.pages.evidence import Evidences
from wsgi_service.pages.fields import MOST_FIELDS, fields_of
from wsgi_service.pages.rendering import page
from wsgi_service.pages.results import methods_shown, outcome_of, table_of
from wsgi_service.resources.models import visible
from wsgi_service.rows.answer import Answer
from wsgi_service.rows.bodies import FORM, read_sent
from wsgi_service.rows.formats import form_body
from wsgi_service.rows.unread import Reading, Sent, Unpack
from wsgi_service.serving.answering import Question, answer, read_rows
from wsgi_service.serving.directory import Target
from wsgi_service.serving.predictor import Predictor

#: Entries on one page.
MODELS, EVENTS = 100, 50
FIELDS = "application/x-www-form-urlencoded"
#: What a person who sent rows can mend.
MENDABLE = (InputError, PredictFailed, ResultTooLarge, Problem)


class Pages:
    """What a browser shows.

    Args:
        catalog: the models.
        predictor: answers forms and files.
        unpack: takes Parquet and Arrow files apart.
        row_limit: most rows in one file.
        evidences: what the examples say about versions.
        index: answers programs that ask for `/`.
    """

    def __init__(
        self,
        catalog: Catalog,
        predictor: Predictor,
        unpack: Unpack,
        row_limit: int,
        evidences: Evidences,
        index: Callable[[Request], Response],
    ) -> None:
        self._catalog = catalog
        self._registry = catalog.registry
        self._predictor = predictor
        self._unpack = unpack
        self._row_limit = row_limit
        self._evidences = evidences
        self._index = index

    @operation(Index, polled=True)
    def front(self, request: Request) -> Response:
        """Say what this is and where things are; browsers are led to the page of the models."""
        best = request.accept_mimetypes.best_match(["application/json", "text/html"])
        # The page itself has the names of models, for which a server may want its token.
        response = (
            Response(status=303, headers={"Location": "/ui"}) if best == "text/html" else self._index(request)
        )
        response.vary.add("Accept")
        return response

    def models(self, request: Request) -> Response:
        """The models, and a form to upload one."""
        start = request.args.get("after", "")
        models = visible(request, self._registry, MODELS + 1, start)
        more = models[MODELS - 1].name if len(models) > MODELS else None
        return page("models.html", models=models[:MODELS], more=more, started=bool(start))

    def file(self, _request: Request, file: str) -> Response:
        """The style, a script or the icon."""
        if file not in assets.FILES:
            raise NotFound
        content, media_type = assets.content(file)
        return Response(content, headers={"Cache-Control": "no-cache"}, content_type=media_type)

    def model(self, request: Request, model: str) -> Response:
        """One model: versions, aliases, history."""
        return self.show_model(request, model)

    def show_model(self, request: Request, model: str, status: int = 200, **more: Any) -> Response:
        """The same, with what came of a change that was asked for."""
        found = self._registry.model(model)
        versions = [self._catalog.described(version) for version in self._registry.versions(model)]
        events = self._registry.newest_events(model, EVENTS)
        context: dict[str, Any] = {"failed": None, "checks": None, "asked": None}
        live = [version for version in versions if LIVE in version.aliases]
        server = request.host_url.rstrip("/")
        return page(
            "model.html",
            status,
            model=found,
            versions=versions[::-1],
            events=events,
            live=LIVE,
            commands=commands_of(live[0], server, by_number=False) if live else [],
            **context | more,
        )

    def version(self, request: Request, model: str, number: int) -> Response:
        """One version: its form, what it is, and how to ask it."""
        return self._version_page(request, self._find(model, number))

    @consumes(FIELDS)
    def predict(self, request: Request, model: str, number: int) -> Response:
        """The same page with the answer to the form."""
        version = self._find(model, number)
        # Browsers send line breaks as CRLF, whatever was in the text.
        given = {name: value.replace("\r\n", "\n") for name, value in _fields_of(request).items()}
        record = {name: value for name, value in given.items() if value or not _may_be_left_out(version, name)}
        try:
            answered = self._answer(request, version, form_body.read_sent(record, {}), Reading(1))
        except InvalidRows as error:
            return self._version_page(request, version, 422, given=given, errors=tuple(error.errors))
        except MENDABLE as error:
            return self._version_page(request, version, 422, given=given, failed=str(error))
        return self._version_page(request, version, given=given, outcome=outcome_of(answered))

    @consumes(FORM)
    def table(self, request: Request, model: str, number: int) -> Response:
        """The same page with the answers to the rows of a file."""
        version = self._find(model, number)
        try:
            sent = read_sent(request, (), self._folder)
            reading = Reading(self._row_limit, row_by_row=True, unpack=self._unpack)
            answered = self._answer(request, version, sent, reading)
        except MENDABLE as error:
            said = error.detail if isinstance(error, Problem) else str(error)
            return self._version_page(request, version, 422, table_failed=said)
        return self._version_page(request, version, table=table_of(answered))

    @property
    def _folder(self) -> Path:
        return self._catalog.artifacts.incoming

    def _find(self, model: str, number: int) -> Version:
        return self._catalog.described(self._registry.version(model, number))

    def _answer(self, request: Request, version: Version, sent: Sent, reading: Reading) -> Answer:
        question = Question(
            target=Target(version, None),
            methods=methods_shown(version.methods, usual_method(version.methods)),
            sent=sent,
            reading=reading,
            by=attribution(request),
        )
        return answer(self._predictor, question, read_rows(question))

    def _version_page(
        self,
        request: Request,
        version: Version,
        status: int = 200,
        given: dict[str, str] | None = None,
        errors: tuple[RowError, ...] = (),
        **more: Any,
    ) -> Response:
        whole = [error.message for error in errors if error.column is None]
        context: dict[str, Any] = {
            "outcome": None, "table": None, "table_failed": None, "failed": whole[0] if whole else None,
        }  # fmt: skip
        schema = version.schema
        return page(
            "version.html",
            status,
            version=version,
            fields=fields_of(schema, given, errors) if len(schema.inputs) <= MOST_FIELDS else None,
            commands=commands_of(version, request.host_url.rstrip("/")),
            safety=self._registry.safety(version.model, version.version),
            acceleration=self._registry.acceleration(version.model, version.version),
            evidence=self._evidences.of(version, attribution(request)),
            **context | more,
        )


def _fields_of(request: Request) -> dict[str, str]:
    return form_body.parse(read_fields(request), claim_for(request))


def _may_be_left_out(version: Version, name: str) -> bool:
    """Whether an empty field means that there is no value, and not the empty text."""
    return any(column.name == name and column.optional for column in version.schema.inputs)
