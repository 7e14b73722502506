"""Versions: /models/{name}/versions, each with its metadata, its artifact, and what speaks for it."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct
from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response

from model_store.acceleration.report import Acceleration
from model_store.catalog import Catalog
from model_store.entities import Engine, Facts, Tags, Version
from model_store.errors import NoExamples, NoReport, NotFound
from model_store.proof.examples import LARGEST, Examples
from model_store.proof.rehearsal import Rehearsal
from model_store.publication import GivenExamples, Publication
from model_store.safety import Report
from wsgi_service.http.budget import Claim
from wsgi_service.http.digests import repr_digest
from wsgi_service.http.forms import read_form
from wsgi_service.http.preconditions import check_if_match, guard, representation
from wsgi_service.http.problems import Problem
from wsgi_service.http.ranges import settle
from wsgi_service.http.representations import ChecksList, ShownExamples, StoredExamples, VersionList
from wsgi_service.http.requests import (
    change_by,
    check_media_type,
    chunks,
    claim_for,
    claim_of,
    claimed_body,
    media_type,
    names_parameter,
)
from wsgi_service.http.responses import changed, no_content
from wsgi_service.openapi.operations import BYTES, REASON, header, operation, text
from wsgi_service.resources.changes import read_json
from wsgi_service.resources.idempotency import idempotency_key, turn
from wsgi_service.rows import row_formats
from wsgi_service.rows.examples import read_examples, show_examples
from wsgi_service.rows.formats.csv_body import looks_like_json
from wsgi_service.rows.row_formats import BY_TYPE, TEXTS
from wsgi_service.serving.uploads import Uploads

#: Examples answered otherwise than was given that an answer shows.
SHOWN = 20
JSON = "application/json"
#: What examples come in.
EXAMPLE_TYPES = (JSON, *(format_.media_type for format_ in TEXTS))
FORM = "multipart/form-data"
OCTETS = "application/octet-stream"
NAMES = (
    text("class_names", "Names for people, with commas, in the order of the classes."),
    text("column_names", "Names of the columns, with commas, for an estimator that was fitted without any."),
)
KEY = header("Idempotency-Key", "Sent again within a day, the upload gets the answer it had.", maxLength=255)
DIGEST = header("Content-Digest", "What the body must hash to (RFC 9530).")
UPLOAD = {
    OCTETS: BYTES,
    FORM: {
        "type": "object",
        "properties": {"file": BYTES, "examples": BYTES, **{name.name: name.schema for name in NAMES}},
        "required": ["file"],
    },
}
#: All values given under a name.
Fields = Callable[[str], list[str]]


class VersionChanges(Struct):
    """The keys of a version that can be changed; null takes one back."""

    description: str | None = None
    tags: Tags | None = None
    class_names: tuple[str, ...] | None = None
    column_names: tuple[str, ...] | None = None
    engine: Engine | None = None


class GivenExamplesBody(Struct):
    """Rows, and where they are known what the version must answer for them.

    Attributes:
        instances: lists of values, records, or texts for a pipeline that takes them.
        predictions: one for each row.
        probabilities: for each row one number for each class.
        tolerance: how far a number may be from the expected one.
    """

    instances: list[Any]
    predictions: list[Any] = []
    probabilities: list[list[float]] = []
    tolerance: float = 1e-6


class Versions:
    """The immutable artifacts under a model's name.

    Args:
        catalog: where they are.
        rehearsal: has versions answer their examples.
        uploads: publishes and accelerates them.
    """

    def __init__(self, catalog: Catalog, rehearsal: Rehearsal, uploads: Uploads) -> None:
        self._catalog = catalog
        self._registry = catalog.registry
        self._rehearsal = rehearsal
        self._uploads = uploads

    @operation(VersionList)
    def list(self, request: Request, model: str) -> Response:
        """List a model's versions by number."""
        return representation(request, self._list(model))

    @operation(
        {201: Version, 200: Version},
        body=UPLOAD,
        parameters=(*NAMES, REASON, KEY, DIGEST),
        fails=(409,),
        guarded=True,
    )
    def publish(self, request: Request, model: str) -> Response:
        """Upload an artifact; the server gives it the next number."""
        if request.mimetype == JSON:
            raise Problem(
                415,
                "unsupported-media-type",
                "Send the bytes of the model: curl --data-binary @model.skops …",
            )
        return self._upload(request, model, None)

    @operation(Version)
    def read(self, request: Request, model: str, number: int) -> Response:
        """Read a version's metadata."""
        return representation(request, self._show(self._registry.version(model, number)))

    @operation(
        {201: Version, 200: Version},
        body={JSON: VersionChanges, **UPLOAD},
        parameters=(*NAMES, REASON, DIGEST),
        fails=(409,),
        guarded=True,
    )
    def put(self, request: Request, model: str, number: int) -> Response:
        """Upload exactly this version, or, with a JSON body, change its metadata."""
        if request.mimetype != JSON:
            return self._upload(request, model, number)
        _, changes = read_json(request, VersionChanges)
        check = guard(request, self._show)
        version = self._catalog.update_version(model, number, changes, change_by(request), check)
        return changed(version, version)

    @operation({204: None}, parameters=(REASON,), fails=(409,), guarded=True)
    def delete(self, request: Request, model: str, number: int) -> Response:
        """Delete a version; its number is never used again."""
        check = guard(request, self._show)
        self._catalog.delete_version(model, number, change_by(request), check)
        return no_content()

    @operation({200: {OCTETS: BYTES}, 206: {OCTETS: BYTES}, 304: None}, fails=(412, 416, 503))
    def artifact(self, request: Request, model: str, number: int) -> Response:
        """Download the bytes that were uploaded (Range and If-None-Match: RFC 9110; digests: RFC 9530)."""
        version = self._registry.version(model, number)
        check_if_match(request, version.digest)
        file = self._catalog.artifacts.open(version.digest)
        try:
            return _download(request, version, file)
        except BaseException:
            file.close()
            raise

    @operation(Report)
    def safety(self, request: Request, model: str, number: int) -> Response:
        """Read what the safety checks found when the version was uploaded."""
        report = self._registry.safety(model, number)
        if report is None:
            raise NoReport("This version was stored by a release that made no safety reports.")
        return representation(request, report)

    @operation(Acceleration)
    def acceleration(self, request: Request, model: str, number: int) -> Response:
        """Read whether a program was proven to answer like the version's estimator, and if not, why."""
        return representation(request, self._acceleration(self._registry.version(model, number)))

    @operation(Acceleration, parameters=(REASON,))
    def accelerate(self, request: Request, model: str, number: int) -> Response:
        """Try again to accelerate the version; the answer may be that it is pending."""
        version = self._registry.version(model, number)
        found = self._acceleration(self._uploads.accelerate(version, change_by(request), again=True))
        return changed(found, found)

    def _acceleration(self, version: Version) -> Acceleration:
        report = self._registry.acceleration(version.model, version.version)
        if report is None:
            raise NoReport(
                "Nothing was done to accelerate this version: it is a program itself, or acceleration is off, or "
                "its packages are not installed on the server."
            )
        return report

    @operation(ChecksList)
    def checks(self, request: Request, model: str, number: int) -> Response:
        """Read the last reports about pointing an alias to the version, newest first."""
        return representation(request, ChecksList(self._registry.checks(model, number)))

    @operation(ShownExamples)
    def read_examples(self, request: Request, model: str, number: int) -> Response:
        """Read the rows that the version must answer, and what it must answer."""
        version = self._registry.version(model, number)
        examples = self._registry.examples(model, number)
        if examples is None:
            raise NoExamples(
                f"This version has no examples. Give it some: PUT /models/{model}/versions/{number}/examples"
            )
        return representation(request, show_examples(examples, version.schema, version.methods))

    @operation(
        StoredExamples,
        body={type_: {"type": "string"} for type_ in EXAMPLE_TYPES} | {JSON: GivenExamplesBody},
        parameters=(REASON,),
        fails=(409,),
        guarded=True,
    )
    def put_examples(self, request: Request, model: str, number: int) -> Response:
        """Give the version examples, from JSON, CSV or TSV; outputs that are not given are recorded."""
        check_media_type(request, EXAMPLE_TYPES)
        version = self._registry.version(model, number)

        def show(examples: Examples | None) -> Any:
            return examples and show_examples(examples, version.schema, version.methods)

        check = guard(request, show)
        names = version.class_names or None
        facts = msgspec.convert(version, Facts, from_attributes=True)
        claim = claim_for(request)
        format_ = BY_TYPE[media_type(request)]
        given = read_examples(claimed_body(request, claim), facts, names, format_, claim)
        claim.end()
        by = change_by(request)
        examples, wrong = self._catalog.set_examples(version, given, self._rehearsal, by, check)
        self._uploads.prove_again(version, by)
        shown = show(examples)
        return changed(StoredExamples(**msgspec.structs.asdict(shown), mismatches=list(wrong[:SHOWN])), shown)

    @operation({204: None}, parameters=(REASON,), fails=(409,), guarded=True)
    def lift_quarantine(self, request: Request, model: str, number: int) -> Response:
        """Let a version in quarantine serve again, if its answers make sense."""
        self._catalog.lift_quarantine(model, number, change_by(request), guard(request, self._show))
        return no_content()

    def _list(self, model: str) -> VersionList:
        return VersionList([self._catalog.described(version) for version in self._registry.versions(model)])

    def _show(self, version: Version | None) -> Any:
        return version and self._catalog.described(version)

    def _upload(self, request: Request, model: str, number: int | None) -> Response:
        check = guard(request, self._show)
        if number is not None:
            check(self._there(model, number))
        elif "If-Match" in request.headers:
            guard(request, self._list)(model)
        key = idempotency_key(request) if number is None else None
        with _parts(request, self._catalog.artifacts.incoming) as (fields, body, examples), turn(model, key):
            options = Publication(
                number=number,
                class_names=names_parameter(fields("class_names"), "class_names"),
                column_names=names_parameter(fields("column_names"), "column_names"),
                examples=_given_examples(examples, claim_of(request)),
                key=key,
            )
            version, new = self._uploads.publish(model, body, change_by(request), options)
        if not new:  # somebody else may have been faster, with the same bytes
            check(version)
        return changed(version, version, f"/models/{model}/versions/{version.version}" if new else None)

    def _there(self, model: str, number: int) -> Version | None:
        try:
            return self._registry.version(model, number)
        except NotFound:
            return None


def _given_examples(body: bytes | None, claim: Claim) -> GivenExamples | None:
    if body is None:
        return None
    digest = hashlib.sha256(body).hexdigest()
    format_ = row_formats.JSON if looks_like_json(body) else row_formats.CSV
    return GivenExamples(digest, lambda facts, names: read_examples(body, facts, names, format_, claim))


@contextmanager
def _parts(request: Request, folder: Path) -> Iterator[tuple[Fields, Iterable[bytes], bytes | None]]:
    """A way to get fields by name, the pieces of the artifact, and the examples that came with it."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(
            415,
            "unsupported-content-encoding",
            "Compressed uploads are not read. Send it as it is.",
        )
    if request.mimetype == FORM:
        with read_form(request, folder) as form:
            examples = form.text("examples", LARGEST)
            yield lambda name: form.fields.getlist(name) or request.args.getlist(name), form.artifact(), examples
    else:
        yield request.args.getlist, chunks(request), None


def _download(request: Request, version: Version, file: BinaryIO) -> Response:
    response = send_file(
        file,
        request.environ,
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=f"{version.model}-{version.version}.{version.format}",
        etag=version.digest,
        conditional=False,
    )
    response.content_length = version.size
    settle(request, version.digest, version.size)
    response.headers["Repr-Digest"] = repr_digest(version.digest)
    response.make_conditional(request.environ, accept_ranges=True, complete_length=version.size)
    if response.status_code == HTTPStatus.OK:  # a part of it has another digest
        response.headers["Content-Digest"] = repr_digest(version.digest)
    return response
