"""Predictions: POST with a body, or GET a link that carries one row."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct
from werkzeug.wrappers import Request, Response

from model_store.entities import MAX_VERSION, Version, check_name
from model_store.outcomes import usual_method
from model_store.schema import Schema
from wsgi_service.inputs.answers import answer
from wsgi_service.inputs.errors import InvalidRequest, InvalidRows, UnsupportedMethod
from wsgi_service.inputs.json_body import INSTANCES, parse_object, read_instances, read_record
from wsgi_service.inputs.rows import tabulate_texts
from wsgi_service.problems import RowsRefused
from wsgi_service.requests import attribution, consumes, read_body, request_id
from wsgi_service.responses import json_response
from wsgi_service.serving.directory import Directory, Target
from wsgi_service.serving.errors import PredictFailed, ResultTooLarge
from wsgi_service.serving.predictor import Predictor
from wsgi_service.serving.tables import Table

METHOD = "method"
#: Keys of /predict that are not columns. Under a model's own address only `instances` and `method` are not.
WHO = ("model", "version", "alias")


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
    """

    def __init__(self, directory: Directory, predictor: Predictor, row_limit: int) -> None:
        self._directory = directory
        self._predictor = predictor
        self._row_limit = row_limit

    @consumes("application/json")
    def predict(self, request: Request) -> Response:
        """Predict with the version that the body names."""
        body = parse_object(read_body(request))
        control = _read_control(_take(body, *WHO, METHOD))
        return self._from_body(request, control, body)

    @consumes("application/json")
    def predict_at(
        self, request: Request, model: str, number: int | None = None, alias: str | None = None
    ) -> Response:
        """Predict with the version that the address names."""
        body = parse_object(read_body(request))
        control = _read_control(_take(body, METHOD))
        return self._from_body(request, _at(control, model, number, alias), body)

    def follow(self, request: Request) -> Response:
        """Predict the one row in the query string with the version that it names."""
        columns = request.args.to_dict()
        control = _read_text_control(_take(columns, *WHO, METHOD))
        return self._from_link(request, control, columns)

    def follow_at(
        self, request: Request, model: str, number: int | None = None, alias: str | None = None
    ) -> Response:
        """Predict the one row in the query string with the version that the address names."""
        columns = request.args.to_dict()
        control = _read_text_control(_take(columns, METHOD))
        return self._from_link(request, _at(control, model, number, alias), columns)

    def _from_body(self, request: Request, control: Control, body: dict[str, Raw]) -> Response:
        def read(schema: Schema) -> Table:
            if INSTANCES not in body:
                return read_record(schema, body)
            if len(body) > 1:
                raise InvalidRequest('The body has keys beside "instances" that are not known here.')
            return read_instances(schema, body[INSTANCES], self._row_limit)

        return self._answer(request, control, read, flat=INSTANCES not in body)

    def _from_link(self, request: Request, control: Control, columns: dict[str, str]) -> Response:
        return self._answer(request, control, lambda schema: tabulate_texts(schema, columns), flat=True)

    def _answer(self, request: Request, control: Control, read: Callable[[Schema], Table], flat: bool) -> Response:
        target = self._directory.find(control.model, control.version, control.alias)
        version = target.version
        method = usual_method(version.methods) if control.method is None else control.method
        try:
            _check_method(version, method)
            table = read(version.schema)
            result = self._predictor.predict(version, method, table, attribution(request))
        except (InvalidRows, InvalidRequest, PredictFailed, ResultTooLarge) as error:
            raise RowsRefused(error, _help(target)) from error
        return json_response(answer(target, method, result, flat, request_id(request)))


def _take(source: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The given keys of a dict, taken out of it."""
    return {key: source.pop(key) for key in keys if key in source}


def _read_control(raw: dict[str, Raw]) -> Control:
    try:
        control = msgspec.convert({key: msgspec.json.decode(value) for key, value in raw.items()}, Control)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"model, version, alias or method cannot be read: {error}.") from None
    return _checked(control)


def _read_text_control(texts: dict[str, str]) -> Control:
    try:
        return _checked(msgspec.convert(texts, Control, strict=False))
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
