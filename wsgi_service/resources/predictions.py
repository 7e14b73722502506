"""Predictions: POST with a body, or GET a link that carries one row."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Struct
from werkzeug.wrappers import Request, Response

from model_store.entities import MAX_VERSION, Attribution, Version, check_name
from model_store.examples import PROBABILITIES
from model_store.outcomes import usual_method
from wsgi_service.inputs import form_body
from wsgi_service.inputs.bodies import MEDIA_TYPES, read_sent, typed
from wsgi_service.inputs.errors import InvalidRequest, InvalidRows, UnsupportedMethod
from wsgi_service.inputs.json_body import INSTANCES
from wsgi_service.inputs.sent import Read, Reading, Sent
from wsgi_service.outputs import csv_answer, json_answer, ndjson_answer, npy_answer
from wsgi_service.outputs.answer import Answer, entries
from wsgi_service.outputs.negotiation import CSV, JSON, NPY, wanted_format
from wsgi_service.outputs.negotiation import MEDIA_TYPES as ANSWERED
from wsgi_service.problems import RowsRefused
from wsgi_service.requests import attribution, check_parameters, consumes, request_id
from wsgi_service.responses import bytes_response, json_response
from wsgi_service.serving.directory import Directory, Target
from wsgi_service.serving.errors import PredictFailed, ResultTooLarge
from wsgi_service.serving.predictor import Predictor

METHOD = "method"
#: What a request to /predict may say beside its rows; under a model's own address it is the method alone.
WHO = ("model", "version", "alias")
#: What may stand in the query string of a request with a body.
HOW = ("format", "on_error", "decimal")


class Control(Struct):
    """The control keys of a predict."""

    model: str | None = None
    version: int | None = None
    alias: str | None = None
    method: str | None = None


class Predictions:
    """The answers of versions.

    Args:
        directory: which version answers.
        predictor: has it answer.
        row_limit: most rows in one request.
        folder: where large parts of forms wait until they are read.
    """

    def __init__(self, directory: Directory, predictor: Predictor, row_limit: int, folder: Path) -> None:
        self._directory = directory
        self._predictor = predictor
        self._row_limit = row_limit
        self._folder = folder

    @consumes(*MEDIA_TYPES)
    def predict(self, request: Request) -> Response:
        """Predict with the version that the body, or beside a body without names the query string, names."""
        check_parameters(request, *WHO, METHOD, *HOW)
        sent = read_sent(request, (*WHO, METHOD), self._folder)
        return self._answer(request, _read_control(sent.control), sent)

    @consumes(*MEDIA_TYPES)
    def predict_at(
        self, request: Request, model: str, number: int | None = None, alias: str | None = None
    ) -> Response:
        """Predict with the version that the address names."""
        check_parameters(request, METHOD, *HOW)
        sent = read_sent(request, (METHOD,), self._folder)
        return self._answer(request, _at(_read_control(sent.control), model, number, alias), sent)

    def follow(self, request: Request) -> Response:
        """Predict the one row in the query string with the version that it names."""
        columns = request.args.to_dict()
        control = _read_control(typed(_take(columns, *WHO, METHOD)))
        return self._answer(request, control, form_body.read_sent(columns, {}), how=False)

    def follow_at(
        self, request: Request, model: str, number: int | None = None, alias: str | None = None
    ) -> Response:
        """Predict the one row in the query string with the version that the address names."""
        columns = request.args.to_dict()
        control = _at(_read_control(_take(columns, METHOD)), model, number, alias)
        return self._answer(request, control, form_body.read_sent(columns, {}), how=False)

    def _answer(self, request: Request, control: Control, sent: Sent, how: bool = True) -> Response:
        """The answer to rows; `how` it is read and written stands in the query string, unless that is the row."""
        reading = _reading(request, self._row_limit) if how else Reading(self._row_limit)
        format_ = wanted_format(request, how)
        target = self._directory.find(control.model, control.version, control.alias)
        version, by = target.version, attribution(request)
        method = usual_method(version.methods) if control.method is None else control.method
        try:
            _check_method(version, method)
            read = sent.read(version.schema, reading)
            result = self._ask(version, method, read, by)
            answer = _answered(target, method, result, read, sent.flat, request_id(request))
            if format_ == CSV and control.method is None and PROBABILITIES in version.methods:
                answer.probabilities, _ = entries(self._ask(version, PROBABILITIES, read, by), read)
        except (InvalidRows, InvalidRequest, PredictFailed, ResultTooLarge) as error:
            raise RowsRefused(error, _help(target)) from error
        return _written(answer, result, format_, reading.row_by_row)

    def _ask(self, version: Version, method: str, read: Read, by: Attribution) -> Any:
        return None if read.table is None else self._predictor.predict(version, method, read.table, by)


def _answered(target: Target, method: str, result: Any, read: Read, flat: bool, request_id_: str) -> Answer:
    predictions, finite = entries(result, read)
    return Answer(
        version=target.version,
        alias=target.alias,
        method=method,
        predictions=predictions,
        finite=finite,
        request_id=request_id_,
        errors=read.errors,
        passing=read.passing,
        flat=flat,
    )


def _written(answer: Answer, result: Any, format_: str, row_by_row: bool) -> Response:
    """An answer in a format, with who gave it in headers, since not every format has a place for that."""
    version = answer.version
    headers = {"X-Model": version.model, "X-Model-Version": str(version.version), "X-Model-Digest": version.digest}
    if format_ == JSON:
        return json_response(json_answer.write(answer), headers=headers)
    if format_ == CSV:
        content = csv_answer.write(answer, row_by_row)
    elif format_ == NPY:
        content = npy_answer.write(result, answer)
    else:
        content = ndjson_answer.write(answer)
    return bytes_response(content, ANSWERED[format_], headers)


def _reading(request: Request, row_limit: int) -> Reading:
    on_error, decimal = request.args.get("on_error", "fail"), request.args.get("decimal", ".")
    if on_error not in {"fail", "row"}:
        raise InvalidRequest("on_error must be fail or row.")
    if decimal not in {".", ","}:
        raise InvalidRequest("decimal must be . or ,")
    return Reading(row_limit, on_error == "row", decimal)


def _take(source: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The given keys of a dict, taken out of it."""
    return {key: source.pop(key) for key in keys if key in source}


def _read_control(given: dict[str, Any]) -> Control:
    """What was said beside the rows. Raises InvalidRequest."""
    try:
        return _checked(msgspec.convert(given, Control))
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"model, version, alias or method cannot be read: {error}.") from None


def _checked(control: Control) -> Control:
    if control.version is not None and control.alias is not None:
        raise InvalidRequest("Name a version or an alias, not both.")
    if control.version is not None and not 1 <= control.version <= MAX_VERSION:
        raise InvalidRequest(f"version must be a whole number from 1 to {MAX_VERSION}.")
    for name, kind in ((control.model, "model"), (control.alias, "alias")):
        if name is not None:
            check_name(name, kind)
    return control


def _at(control: Control, model: str, number: int | None, alias: str | None) -> Control:
    return Control(model=model, version=number, alias=alias, method=control.method)


def _check_method(version: Version, method: str) -> None:
    if method not in version.methods:
        raise UnsupportedMethod(f"This version has no such method. It has: {', '.join(version.methods)}.")


def _help(target: Target) -> dict[str, Any]:
    """What helps to mend a request: the columns, a request that would work, and where to read more."""
    version = target.version
    inputs = version.schema.inputs
    row = {column.name: column.sample for column in inputs if column.required is UNSET}
    return {
        "expected": inputs,
        "sample": {INSTANCES: [next(iter(row.values()))] if version.schema.text else [row]},
        "version_url": f"/models/{version.model}/versions/{version.version}",
    }
