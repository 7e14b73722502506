"""Versions: /models/{name}/versions, each with its metadata and its artifact."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response

from model_store.catalog import Catalog, Publication
from model_store.entities import Tags, Version
from model_store.errors import NoReport, NotFound
from wsgi_service.problems import Problem
from wsgi_service.requests import attribution, chunks, names_parameter, read_json
from wsgi_service.resources.forms import read_form
from wsgi_service.responses import created, json_response, no_content

JSON = "application/json"
FORM = "multipart/form-data"
#: All values given under a name.
Fields = Callable[[str], list[str]]


class VersionChanges(Struct):
    """The keys of a version that can be changed; null takes one back."""

    description: str | None = None
    tags: Tags | None = None
    class_names: tuple[str, ...] | None = None
    column_names: tuple[str, ...] | None = None


class Versions:
    """The immutable artifacts under a model's name."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def list(self, _request: Request, model: str) -> Response:
        """List a model's versions by number."""
        return json_response({"versions": self._catalog.registry.versions(model)})

    def publish(self, request: Request, model: str) -> Response:
        """Upload an artifact; the server gives it the next number."""
        if request.mimetype == JSON:
            raise Problem(
                415,
                "unsupported-media-type",
                "Send the bytes of the model: curl --data-binary @model.skops …",
            )
        return self._upload(request, model, None)

    def read(self, _request: Request, model: str, number: int) -> Response:
        """Read a version's metadata."""
        return json_response(self._catalog.registry.version(model, number))

    def put(self, request: Request, model: str, number: int) -> Response:
        """Upload exactly this version, or, with a JSON body, change its metadata."""
        if request.mimetype != JSON:
            return self._upload(request, model, number)
        _, changes = read_json(request, VersionChanges)
        return json_response(self._catalog.update_version(model, number, changes, attribution(request)))

    def delete(self, request: Request, model: str, number: int) -> Response:
        """Delete a version; its number is never used again."""
        self._catalog.delete_version(model, number, attribution(request))
        return no_content()

    def artifact(self, request: Request, model: str, number: int) -> Response:
        """Download the bytes that were uploaded (Range and If-None-Match: RFC 9110)."""
        version = self._catalog.registry.version(model, number)
        file = self._catalog.artifacts.open(version.digest)
        try:
            return _download(request, version, file)
        except BaseException:
            file.close()
            raise

    def safety(self, _request: Request, model: str, number: int) -> Response:
        """Read what the safety checks found when the version was uploaded."""
        report = self._catalog.registry.safety(model, number)
        if report is None:
            raise NoReport("This version was stored by a release that made no safety reports.")
        return json_response(report)

    def lift_quarantine(self, request: Request, model: str, number: int) -> Response:
        """Let a version that crashed too often serve again."""
        self._catalog.registry.lift_quarantine(model, number, attribution(request))
        return no_content()

    def _upload(self, request: Request, model: str, number: int | None) -> Response:
        only_new = request.headers.get("If-None-Match", "").strip() == "*"
        if only_new and number is not None and self._exists(model, number):
            raise _not_new()
        with _parts(request, self._catalog.artifacts.incoming) as (fields, body):
            options = Publication(
                number=number,
                class_names=names_parameter(fields("class_names"), "class_names"),
                column_names=names_parameter(fields("column_names"), "column_names"),
            )
            version, new = self._catalog.publish(model, body, attribution(request), options)
        if only_new and not new:  # somebody else was faster, with the same bytes
            raise _not_new()
        return created(version, f"/models/{model}/versions/{version.version}", new)

    def _exists(self, model: str, number: int) -> bool:
        try:
            self._catalog.registry.version(model, number)
        except NotFound:
            return False
        return True


def _not_new() -> Problem:
    detail = "If-None-Match: * asks for a new version only, and this one is there already."
    return Problem(412, "precondition-failed", detail)


@contextmanager
def _parts(request: Request, folder: Path) -> Iterator[tuple[Fields, Iterable[bytes]]]:
    """A way to get fields by name, and the pieces of the artifact."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(
            415,
            "unsupported-content-encoding",
            "Compressed uploads are not read. Send it as it is.",
        )
    if request.mimetype == FORM:
        with read_form(request, folder) as (form, file):
            yield lambda name: form.getlist(name) or request.args.getlist(name), file
    else:
        yield request.args.getlist, chunks(request)


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
    response.make_conditional(request.environ, accept_ranges=True, complete_length=version.size)
    return response
