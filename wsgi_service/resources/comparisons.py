"""Comparisons: /models/{name}/compare, two versions on the same rows."""

import re
import threading
from typing import Any

import numpy as np
from msgspec import UNSET, Raw, Struct
from werkzeug.wrappers import Request, Response

from model_store.entities import MAX_VERSION, Attribution, Version, check_name
from model_store.methods import row_major
from model_store.proof.comparison import Answered, compare
from model_store.proof.examples import PROBABILITIES, wanted
from model_store.schema import Schema
from wsgi_service.errors import Busy, InvalidRequest, InvalidRows
from wsgi_service.http.budget import Claim
from wsgi_service.http.representations import ComparedVersions
from wsgi_service.http.requests import attribution, claim_for, claimed_body, consumes, media_type, request_id
from wsgi_service.http.responses import json_response
from wsgi_service.openapi.operations import operation, text
from wsgi_service.rows.cells import read_text_cell
from wsgi_service.rows.checking import check_row_limit, shared_rows, tabulate
from wsgi_service.rows.examples import take_outputs
from wsgi_service.rows.formats.csv_body import TextRow
from wsgi_service.rows.formats.json_body import parse_object
from wsgi_service.rows.formats.json_forms import decode_whole
from wsgi_service.rows.row_formats import BY_TYPE, JSON, TEXTS, Format
from wsgi_service.rows.tables import Table
from wsgi_service.rows.unread import INSTANCES
from wsgi_service.serving.directory import Directory
from wsgi_service.serving.predictor import Predictor

#: Texts by name or by position.
TEXT_TYPES = tuple(format_.media_type for format_ in TEXTS)
SIDES = ("a", "b")
NUMBER = re.compile(r"[1-9][0-9]{0,9}")
#: Comparisons at once; each holds up to four results in memory.
AT_ONCE = 2


class Sides(Struct):
    """The body that asks for a comparison.

    Attributes:
        a: the number of a version, or an alias.
        b: likewise.
        instances: lists of values, records, or texts for a pipeline that takes them.
    """

    a: int | str
    b: int | str
    instances: list[Any]


class Comparisons:
    """Two versions of a model, asked the same.

    Args:
        directory: which versions are meant.
        predictor: has them answer.
        row_limit: most rows in one request.
    """

    def __init__(self, directory: Directory, predictor: Predictor, row_limit: int) -> None:
        self._directory = directory
        self._predictor = predictor
        self._row_limit = row_limit
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    @consumes(JSON.media_type, *TEXT_TYPES)
    @operation(
        ComparedVersions,
        body={JSON.media_type: Sides, **{type_: {"type": "string"} for type_ in TEXT_TYPES}},
        parameters=(
            text("a", "The one version, beside texts: a number or an alias."),
            text("b", "The other one."),
        ),
    )
    def compare(self, request: Request, model: str) -> Response:
        """Compare two versions, each a number or an alias, on the rows of the body."""
        if not self._turns.acquire(blocking=False):
            raise Busy("Other comparisons are being made. Try again in a moment.")
        try:
            return self._compare(request, model)
        finally:
            self._turns.release()

    def _compare(self, request: Request, model: str) -> Response:
        claim = claim_for(request)
        body = claimed_body(request, claim)
        format_ = BY_TYPE[media_type(request)]
        sides, rows = (request.args, body) if format_.named else _from_json(body, claim)
        versions = [self._find(model, sides.get(side), side) for side in SIDES]
        tables = self._tables([version.schema for version in versions], rows, format_, claim)
        claim.end()
        by = attribution(request)
        one, other = (self._ask(*pair, by) for pair in zip(versions, tables, strict=True))
        a, b = (version.version for version in versions)
        return json_response(ComparedVersions(model, a, b, compare(one, other), request_id(request)))

    def _find(self, model: str, named: Any, side: str) -> Version:
        if isinstance(named, str) and NUMBER.fullmatch(named):
            named = int(named)
        if isinstance(named, bool) or not isinstance(named, int | str):
            raise InvalidRequest(f'"{side}" must be the number of a version, or an alias.')
        if isinstance(named, str):
            return self._directory.find(model, None, check_name(named, "alias")).version
        if not 1 <= named <= MAX_VERSION:
            raise InvalidRequest(f'"{side}" must be from 1 to {MAX_VERSION} where it is a number.')
        return self._directory.find(model, named, None).version

    def _tables(self, schemas: list[Schema], rows: Any, format_: Format, claim: Claim) -> list[Table]:
        """The rows as a table for each version; a record may have columns that only one of them knows."""
        names = {name for schema in schemas for name in schema.column_names}
        texts = format_.named
        found = _without_outputs(texts(rows, names, claim=claim), names) if texts else rows
        check_row_limit(len(found), self._row_limit)
        tables = []
        for side, schema in zip(SIDES, schemas, strict=True):
            mine = shared_rows(schema, found, names)
            try:
                tables.append(tabulate(schema, mine, read_text_cell) if texts else tabulate(schema, mine))
            except InvalidRows as error:
                error.args = (f"for version {side}: {error}",)
                raise
        return tables

    def _ask(self, version: Version, table: Table, by: Attribution) -> Answered:
        methods = wanted(version.methods)
        results = dict(
            zip(methods, self._predictor.predict(version, methods, table, by, exact=True).results, strict=True)
        )
        predictions, _ = row_major(results[methods[0]])
        probabilities = results.get(PROBABILITIES)
        return Answered(
            predictions=predictions,
            probabilities=probabilities if isinstance(probabilities, np.ndarray) else None,
            classes=version.schema.classes or UNSET,
        )


def _without_outputs(rows: list[TextRow], names: set[str]) -> list[TextRow]:
    """Rows of texts, without the outputs that a file of examples has."""
    for row in rows:
        take_outputs(row, names)
    return rows


def _from_json(body: bytes, claim: Claim) -> tuple[dict[str, Any], Any]:
    """The versions that a body names, and its rows."""
    given: dict[str, Raw] = parse_object(body, claim, (*SIDES, INSTANCES))
    if given.keys() - {*SIDES, INSTANCES} or INSTANCES not in given:
        raise InvalidRequest('The body must be {"a": 3, "b": "live", "instances": [[…]]}.')
    values = {key: decode_whole(raw, claim) for key, raw in given.items()}
    rows = values.pop(INSTANCES)
    if not isinstance(rows, list) or not rows:
        raise InvalidRequest('"instances" must be a list of rows: lists of values, or records.')
    return values, rows
