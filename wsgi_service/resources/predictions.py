"""Predictions: POST with a body, or GET a link that carries one row."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from werkzeug.wrappers import Request

from model_store import methods
from model_store.entities import Version
from model_store.errors import Invalid
from model_store.proof.examples import Examples
from model_store.schema import Schema
from wsgi_service.access.grants import check_model, is_restricted
from wsgi_service.at_once import capable, resumable
from wsgi_service.errors import InvalidRequest, InvalidRows, PredictFailed, ResultTooLarge
from wsgi_service.http.problems import RowsRefused
from wsgi_service.http.requests import (
    BEGAN,
    attribution,
    consumes,
    flag_parameter,
    query,
    trace_of,
)
from wsgi_service.http.responses import Rendered
from wsgi_service.openapi.operations import BYTES, Parameter, flag, operation, text, whole_number
from wsgi_service.openapi.version_document import sample_rows
from wsgi_service.rows.answer import Answer
from wsgi_service.rows.answer_format import wanted_formats
from wsgi_service.rows.bodies import FIELDS, FORM, MEDIA_TYPES, read_sent
from wsgi_service.rows.checking import check_rows
from wsgi_service.rows.control import HOW, WHO_AND_HOW, Control, read_control, take
from wsgi_service.rows.formats import form_body, json_answer
from wsgi_service.rows.formats.json_body import Rows
from wsgi_service.rows.row_formats import BY_NAME, BY_TYPE, JSON, Format
from wsgi_service.rows.tables import Table
from wsgi_service.rows.unread import Read, Reading, Sent, Unpack
from wsgi_service.rows.writing import write
from wsgi_service.serving.answering import Question, answer, methods_for, read_rows
from wsgi_service.serving.directory import Directory, Target
from wsgi_service.serving.predictor import Predictor
from wsgi_service.serving.wanted import ALWAYS, Wanted

#: What OpenAPI says.
ANSWERS = {
    200: {
        media_type: json_answer.Predictions if media_type == JSON.media_type else BYTES for media_type in BY_TYPE
    }
}
BODIES: dict[str, Any] = dict.fromkeys(MEDIA_TYPES, BYTES) | {
    JSON.media_type: Rows,
    FORM: {"type": "object", "properties": {"file": BYTES}, "required": ["file"]},
    FIELDS: {"type": "object", "additionalProperties": {"type": "string"}},
}
WHO = (
    text("model", "Which model; may be left out where there is only one."),
    whole_number("version", "Which version; otherwise the one that `alias` points to."),
    text("alias", "Which alias; otherwise `live`."),
)
METHODS = (
    text("method", "One of the version's methods.", enum=list(methods.METHODS)),
    text("return", "Several methods, with commas between them."),
)
EXACTLY = flag("exact", "Whether the estimator itself answers, for these rows alone, as in a notebook.")
WRITING = (
    text("format", "How the answer is written; otherwise Accept decides.", enum=list(BY_NAME)),
    text("on_error", "Whether a wrong row fails the request, or only has no prediction.", enum=["fail", "row"]),
    text("decimal", "The decimal mark in texts.", enum=[".", ","]),
    flag(
        "spreadsheet", "Whether texts that a spreadsheet would take for formulas get an apostrophe in CSV and TSV."
    ),
)
COLUMNS = Parameter(
    "columns",
    {"type": "object", "additionalProperties": {"type": "string"}},
    "One key for each column of the row.",
)

#: What is wrong with the rows, and is said together with what helps to mend them.
WRONG = (InvalidRows, InvalidRequest, PredictFailed, ResultTooLarge)
#: Where Waitress has a function that says whether the client has closed its connection.
DISCONNECTED = "waitress.client_disconnected"
SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


class Predictions:
    """The answers of versions.

    Args:
        directory: which version answers.
        predictor: has it answer.
        examples: of a version, None if it has none.
        unpack: takes Parquet and Arrow bodies apart.
        row_limit: most rows in one request.
        folder: where large parts of forms wait until they are read.
        note: is given each answer, its rows if they may be kept, its seconds, and the trace it is part of or "".
    """

    def __init__(
        self,
        directory: Directory,
        predictor: Predictor,
        examples: Callable[[str, int], Examples | None],
        unpack: Unpack,
        row_limit: int,
        folder: Path,
        note: Callable[[Answer, Table | None, float, str], None] = lambda *_: None,
    ) -> None:
        self._directory = directory
        self._predictor = predictor
        self._examples = examples
        self._unpack = unpack
        self._row_limit = row_limit
        self._folder = folder
        self._note = note

    @capable
    @consumes(*MEDIA_TYPES)
    @operation(ANSWERS, body=BODIES, parameters=(*WHO, *METHODS, EXACTLY, *WRITING))
    def predict(self, request: Request) -> Rendered:
        """Predict with the version that the body, or beside a body without names the query string, names."""
        sent = read_sent(request, WHO_AND_HOW, self._folder)
        return self._answer(request, read_control(sent.control), sent)

    @capable
    @consumes(*MEDIA_TYPES)
    @operation(ANSWERS, body=BODIES, parameters=(*METHODS, EXACTLY, *WRITING))
    def predict_at(
        self, request: Request, model: str, number: int | None = None, alias: str | None = None
    ) -> Rendered:
        """Predict with the version that the address names."""
        sent = read_sent(request, HOW, self._folder)
        return self._answer(request, _at(read_control(sent.control), model, number, alias), sent)

    @operation(ANSWERS, parameters=(*WHO, *METHODS, COLUMNS))
    def follow(self, request: Request) -> Rendered:
        """Predict the one row in the query string with the version that it names."""
        columns = _last_of_each(request)
        return self._follow(request, read_control(take(columns, WHO_AND_HOW, of_a_record=True)), columns)

    @operation(ANSWERS, parameters=(*METHODS, COLUMNS))
    def follow_at(
        self, request: Request, model: str, number: int | None = None, alias: str | None = None
    ) -> Rendered:
        """Predict the one row in the query string with the version that the address names."""
        columns = _last_of_each(request)
        control = _at(read_control(take(columns, HOW, of_a_record=True)), model, number, alias)
        return self._follow(request, control, columns)

    def _follow(self, request: Request, control: Control, columns: dict[str, str]) -> Rendered:
        """The answer to a link; one without columns is answered for the version's first example, if it has any."""
        sent = form_body.read_sent(columns, {})
        if columns:
            return self._answer(request, control, sent, how=False)
        version = self._find(request, control).version
        examples = self._examples(version.model, version.version)
        if examples is None:
            return self._answer(request, control, sent, how=False)
        example = dict(zip(version.schema.column_names, examples.rows[0], strict=True))
        return self._answer(request, control, _sent(example), how=False, example=example)

    def _find(self, request: Request, control: Control) -> Target:
        """The version that is meant, if there is one for whoever asks."""
        if control.model:
            check_model(request, control.model)
        elif is_restricted(request):
            raise Invalid('This token is for some models only, so the request must name one: "model": "…"')
        target = self._directory.find(control.model, control.version, control.alias)
        check_model(request, target.version.model)
        return target

    def _answer(
        self,
        request: Request,
        control: Control,
        sent: Sent,
        how: bool = True,
        example: dict[str, Any] | None = None,
    ) -> Rendered:
        """The answer to rows; `how` it is read and written stands in the query string, unless that is the row."""
        reading = _reading(request, self._row_limit, self._unpack) if how else Reading(self._row_limit)
        formats = wanted_formats(request, how)
        spreadsheet = how and bool(query(request)) and flag_parameter(request, "spreadsheet")
        target = self._find(request, control)
        try:
            question = Question(
                target=target,
                methods=_methods(control, target.version, formats[0]),
                sent=sent,
                reading=reading,
                by=attribution(request),
                several=control.several is not None,
                exact=control.exact,
                wanted=_wanted(request),
            )
            read = read_rows(question)
        except WRONG as error:
            raise RowsRefused(error, _help(target)) from error

        def rest() -> Rendered:
            try:
                answered = answer(self._predictor, question, read)
            except WRONG as error:
                raise RowsRefused(error, _help(target)) from error
            answered.example = example
            written = write(answered, formats, reading.row_by_row, spreadsheet)
            self._note(answered, _kept(request, read), _seconds_of(request), _trace_of(request))
            return written

        return resumable(rest)


def _kept(request: Request, read: Read) -> Table | None:
    """The rows, unless the client wants them in no log."""
    return None if request.environ.get("HTTP_PREDICTION_LOG", "").lower() == "off" else read.table


def _trace_of(request: Request) -> str:
    return trace_of(request.environ.get("HTTP_TRACEPARENT", ""))


def _wanted(request: Request) -> Wanted:
    """For how long the client waits: as Request-Timeout says, in seconds, and until it closes the connection."""
    gone = request.environ.get(DISCONNECTED, ALWAYS.gone)
    given = request.environ.get("HTTP_REQUEST_TIMEOUT")
    if given is None:
        return Wanted(gone=gone)
    if not SECONDS.fullmatch(given) or not float(given):
        raise InvalidRequest("Request-Timeout must be a number of seconds greater than 0, such as 0.5.")
    return Wanted(time.monotonic() + float(given) - _seconds_of(request), gone)


def _seconds_of(request: Request) -> float:
    """How long a request has taken by now."""
    now = time.perf_counter()
    began: float = request.environ.get(BEGAN, now)
    return now - began


def _methods(control: Control, version: Version, format_: Format) -> list[str]:
    methods = control.methods_of(version.methods)
    return methods if control.method or control.several else methods_for(format_, version.methods)


def _last_of_each(request: Request) -> dict[str, str]:
    """The query string; of a key that stands twice, the last one counts."""
    return {name: values[-1] for name, values in request.args.to_dict(flat=False).items()}


def _sent(record: dict[str, Any]) -> Sent:
    """One record of values that are known to be right."""

    def read(schema: Schema, _reading: Reading) -> Read:
        return check_rows(schema, [record], row_by_row=False)

    return Sent({}, read, flat=True)


def _reading(request: Request, row_limit: int, unpack: Unpack) -> Reading:
    given = query(request)
    if not given:
        return Reading(row_limit, unpack=unpack)
    on_error, decimal = given.get("on_error", "fail"), given.get("decimal", ".")
    if on_error not in {"fail", "row"}:
        raise InvalidRequest("on_error must be fail or row.")
    if decimal not in {".", ","}:
        raise InvalidRequest("decimal must be . or ,")
    return Reading(row_limit, on_error == "row", decimal, unpack)


def _at(control: Control, model: str, number: int | None, alias: str | None) -> Control:
    return msgspec.structs.replace(control, model=model, version=number, alias=alias)


def _help(target: Target) -> dict[str, Any]:
    """What helps to mend a request: the columns, a request that would work, and where to read more."""
    version = target.version
    return {
        "expected": version.schema.inputs,
        "sample": sample_rows(version),
        "version_url": f"/models/{version.model}/versions/{version.version}",
    }
