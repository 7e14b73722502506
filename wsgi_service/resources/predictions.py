"""Predictions: POST with a body, or GET a link that carries one row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET
from werkzeug.wrappers import Request, Response

from model_store.entities import Attribution, Version
from model_store.examples import PROBABILITIES, Examples
from model_store.schema import Schema
from wsgi_service.inputs import form_body
from wsgi_service.inputs.bodies import MEDIA_TYPES, read_sent
from wsgi_service.inputs.control import HOW, WHO_AND_HOW, Control, read_control, take
from wsgi_service.inputs.errors import InvalidRequest, InvalidRows
from wsgi_service.inputs.json_body import INSTANCES
from wsgi_service.inputs.rows import check_rows
from wsgi_service.inputs.sent import Read, Reading, Sent, Unpack
from wsgi_service.outputs.answer import Answer, entries_of
from wsgi_service.outputs.negotiation import TABLES, wanted_format
from wsgi_service.outputs.writing import write
from wsgi_service.problems import RowsRefused
from wsgi_service.requests import attribution, check_parameters, consumes, request_id
from wsgi_service.serving.directory import Directory, Target
from wsgi_service.serving.errors import PredictFailed, ResultTooLarge
from wsgi_service.serving.predictor import Predictor

#: What may stand in the query string of a request with a body.
WRITTEN = ("format", "on_error", "decimal")


class Predictions:
    """The answers of versions.

    Args:
        directory: which version answers.
        predictor: has it answer.
        examples: of a version, None if it has none.
        unpack: takes Parquet and Arrow bodies apart.
        row_limit: most rows in one request.
        folder: where large parts of forms wait until they are read.
    """

    def __init__(
        self,
        directory: Directory,
        predictor: Predictor,
        examples: Callable[[str, int], Examples | None],
        unpack: Unpack,
        row_limit: int,
        folder: Path,
    ) -> None:
        self._directory = directory
        self._predictor = predictor
        self._examples = examples
        self._unpack = unpack
        self._row_limit = row_limit
        self._folder = folder

    @consumes(*MEDIA_TYPES)
    def predict(self, request: Request) -> Response:
        """Predict with the version that the body, or beside a body without names the query string, names."""
        check_parameters(request, *WHO_AND_HOW, *WRITTEN)
        sent = read_sent(request, WHO_AND_HOW, self._folder)
        return self._answer(request, read_control(sent.control), sent)

    @consumes(*MEDIA_TYPES)
    def predict_at(
        self, request: Request, model: str, number: int | None = None, alias: str | None = None
    ) -> Response:
        """Predict with the version that the address names."""
        check_parameters(request, *HOW, *WRITTEN)
        sent = read_sent(request, HOW, self._folder)
        return self._answer(request, _at(read_control(sent.control), model, number, alias), sent)

    def follow(self, request: Request) -> Response:
        """Predict the one row in the query string with the version that it names."""
        columns = request.args.to_dict()
        return self._follow(request, read_control(take(columns, WHO_AND_HOW)), columns)

    def follow_at(
        self, request: Request, model: str, number: int | None = None, alias: str | None = None
    ) -> Response:
        """Predict the one row in the query string with the version that the address names."""
        columns = request.args.to_dict()
        return self._follow(request, _at(read_control(take(columns, HOW)), model, number, alias), columns)

    def _follow(self, request: Request, control: Control, columns: dict[str, str]) -> Response:
        """The answer to a link; one without columns is answered for the version's first example, if it has any."""
        sent = form_body.read_sent(columns, {})
        if columns:
            return self._answer(request, control, sent, how=False)
        version = self._directory.find(control.model, control.version, control.alias).version
        examples = self._examples(version.model, version.version)
        if examples is None:
            return self._answer(request, control, sent, how=False)
        example = dict(zip(version.schema.column_names, examples.rows[0], strict=True))
        return self._answer(request, control, _sent(example), how=False, example=example)

    def _answer(
        self,
        request: Request,
        control: Control,
        sent: Sent,
        how: bool = True,
        example: dict[str, Any] | None = None,
    ) -> Response:
        """The answer to rows; `how` it is read and written stands in the query string, unless that is the row."""
        reading = _reading(request, self._row_limit, self._unpack) if how else Reading(self._row_limit)
        format_ = wanted_format(request, how)
        target = self._directory.find(control.model, control.version, control.alias)
        try:
            methods = _methods(control, target.version, format_)
            read = sent.read(target.version.schema, reading)
            results = self._ask(target.version, methods, read, attribution(request))
        except (InvalidRows, InvalidRequest, PredictFailed, ResultTooLarge) as error:
            raise RowsRefused(error, _help(target)) from error
        outputs, finite = entries_of(results, read)
        answer = Answer(
            version=target.version,
            alias=target.alias,
            outputs=outputs,
            results=results,
            finite=finite,
            request_id=request_id(request),
            several=control.several is not None,
            errors=read.errors,
            passing=read.passing,
            flat=sent.flat,
            example=example,
        )
        return write(answer, format_, reading.row_by_row)

    def _ask(self, version: Version, methods: list[str], read: Read, by: Attribution) -> dict[str, Any]:
        """Method -> its result; None where no row is right."""
        if read.table is None:
            return dict.fromkeys(methods)
        return dict(zip(methods, self._predictor.predict(version, methods, read.table, by), strict=True))


def _methods(control: Control, version: Version, format_: str) -> list[str]:
    """The methods to call; a table has the probabilities beside the predictions, where no method is named."""
    methods = control.methods_of(version.methods)
    unasked = control.method is None and control.several is None
    if unasked and format_ in TABLES and PROBABILITIES in version.methods and methods != [PROBABILITIES]:
        return [*methods, PROBABILITIES]
    return methods


def _sent(record: dict[str, Any]) -> Sent:
    """One record of values that are known to be right."""

    def read(schema: Schema, _reading: Reading) -> Read:
        return check_rows(schema, [record], row_by_row=False)

    return Sent({}, read, flat=True)


def _reading(request: Request, row_limit: int, unpack: Unpack) -> Reading:
    on_error, decimal = request.args.get("on_error", "fail"), request.args.get("decimal", ".")
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
    inputs = version.schema.inputs
    row = {column.name: column.sample for column in inputs if column.required is UNSET}
    return {
        "expected": inputs,
        "sample": {INSTANCES: [next(iter(row.values()))] if version.schema.text else [row]},
        "version_url": f"/models/{version.model}/versions/{version.version}",
    }
