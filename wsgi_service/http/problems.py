"""Every error as one shape: application/problem+json (RFC 9457), from one table of domain errors.

To add an error: a class where it belongs, and a line here.
"""

import re
from typing import Any

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.http import HTTP_STATUS_CODES

from model_store import errors as store
from model_store.entities import NAME_PATTERN, NAME_RULE, VERSION_RULE
from wsgi_service import errors
from wsgi_service.http.responses import Rendered, json_bytes

PROBLEM_JSON = "application/problem+json"
#: Types are relative references; they name the problem and need not lead anywhere (RFC 9457, section 3.1.1).
TYPE_PREFIX = "/problems/"
RETRY_AFTER = "1"
#: Instead of the words of whoever asked for the memory.
NO_MEMORY = "The server has no memory left for this at the moment. Send less at once, or try again in a moment."

#: Domain error -> status and type. A class stands for those below it unless they have a line of their own.
TABLE: dict[type[Exception], tuple[int, str]] = {
    store.ModelNotFound: (404, "model-not-found"),
    store.VersionNotFound: (404, "version-not-found"),
    store.AliasNotFound: (404, "alias-not-found"),
    store.TokenNotFound: (404, "token-not-found"),
    store.TokenExists: (409, "token-exists"),
    store.NotQuarantined: (404, "not-quarantined"),
    store.NoReport: (404, "no-report"),
    store.ModelExists: (409, "model-exists"),
    store.NotAccelerated: (409, "not-accelerated"),
    store.VersionExists: (409, "version-exists"),
    store.VersionRetired: (409, "version-retired"),
    store.VersionInUse: (409, "version-in-use"),
    store.InvalidName: (422, "invalid-name"),
    store.InvalidVersion: (422, "invalid-version"),
    store.AliasMoved: (409, "alias-moved"),
    store.NothingBefore: (409, "nothing-before"),
    store.RehearsalFailed: (409, "rehearsal-failed"),
    store.Implausible: (409, "implausible"),
    store.ChecksFailed: (409, "checks-failed"),
    store.NoExamples: (404, "no-examples"),
    store.InvalidExamples: (422, "invalid-examples"),
    store.KeyReused: (422, "key-reused"),
    store.EnvironmentDrift: (422, "environment-drift"),
    store.InvalidMetadata: (422, "invalid-metadata"),
    store.Invalid: (422, "invalid-request"),
    store.UnsupportedFormat: (415, "unsupported-format"),
    store.Unreadable: (422, "unreadable-artifact"),
    store.Unsafe: (422, "unsafe-artifact"),
    store.NotAPredictor: (422, "not-a-predictor"),
    store.MissingExtra: (501, "missing-extra"),
    store.ArtifactCorrupt: (503, "artifact-corrupt"),
    store.StorageFull: (507, "storage-full"),
    store.StorageFailed: (507, "storage-failed"),
    store.StorageBusy: (503, "storage-busy"),
    store.StorageError: (503, "storage-unavailable"),
    errors.Busy: (503, "busy"),
    errors.TooLate: (504, "too-late"),
    errors.NotWanted: (503, "not-wanted"),
    errors.ModelQuarantined: (503, "model-quarantined"),
    errors.ResultTooLarge: (422, "result-too-large"),
    errors.ModelCrashed: (502, "model-crashed"),
    errors.DeadlineExceeded: (504, "deadline-exceeded"),
    errors.OutOfMemory: (507, "out-of-memory"),
    errors.PredictFailed: (422, "predict-failed"),
    MemoryError: (503, "out-of-memory"),
    errors.MalformedBody: (400, "malformed-body"),
    errors.InvalidRows: (422, "invalid-rows"),
    errors.TooManyRows: (413, "too-many-rows"),
    errors.TooLargeDecoded: (413, "too-large-decoded"),
    errors.UnknownParameter: (400, "unknown-parameter"),
    errors.UnsupportedMethod: (422, "unsupported-method"),
    errors.InvalidRequest: (422, "invalid-request"),
}


class Problem(HTTPException):
    """An HTTP error with a type and a detail, raised by the HTTP layer itself.

    Args:
        status: the HTTP status.
        type_: the last part of the problem's type.
        detail: for the person who gets it.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, type_: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code = status
        self.type = type_
        self.detail = detail
        self.headers = headers or {}


class RowsRefused(Exception):
    """Rows, or the request around them, that a version does not take, with what helps to mend them.

    Args:
        error: what was wrong.
        help_: further members of the problem: the expected columns, a sample request, a link.
    """

    def __init__(self, error: Exception, help_: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.error = error
        self.help = help_


def known(error: Exception) -> bool:
    """Whether an error is meant for the client; any other is a fault of the server."""
    return isinstance(error, HTTPException | RowsRefused) or _entry(error) is not None


def problem(error: Exception, path: str, request_id: str) -> Rendered:
    """The answer to an error. An error that is not `known` says nothing about itself."""
    status, type_, detail, headers, more = describe(error, path)
    title = HTTP_STATUS_CODES.get(status, "Error")
    document = {
        "type": TYPE_PREFIX + type_,
        "title": title,
        "status": status,
        "detail": detail,
        **more,
        "request_id": request_id,
    }
    if status == 503:  # noqa: PLR2004
        headers = {"Retry-After": RETRY_AFTER} | headers
    content_type = f"{PROBLEM_JSON}; charset=utf-8"
    return Rendered(json_bytes(document), content_type, headers, f"{status} {title.upper()}")


Description = tuple[int, str, str, dict[str, str], dict[str, Any]]


def describe(error: Exception, path: str) -> Description:
    """Status, type, detail, headers and further members of the problem that an error is."""
    match error:
        case Problem():
            return error.code or 500, error.type, error.detail, error.headers, {}
        case HTTPException():
            return _describe_http(error, path)
        case MemoryError():
            return *TABLE[MemoryError], NO_MEMORY, {}, {}
        case RowsRefused():
            status, type_, detail, headers, more = describe(error.error, path)
            return status, type_, detail, headers, more | error.help
    entry = _entry(error)
    if entry is None:
        return (
            500,
            "internal-error",
            "The server failed. Its log has the cause under this request id.",
            {},
            {},
        )
    return *entry, str(error), {}, _members(error)


def _entry(error: Exception) -> tuple[int, str] | None:
    return next((TABLE[class_] for class_ in type(error).__mro__ if class_ in TABLE), None)


def _members(error: Exception) -> dict[str, Any]:
    match error:
        case errors.InvalidRows():
            return {"errors": error.errors}
        case store.Refused() if error.report is not None:
            return {"safety": error.report}
        case store.ChecksFailed():
            return {"checks": error.checks}
        case store.MissingExtra():
            return {"extra": error.extra}
    return {}


def _describe_http(error: HTTPException, path: str) -> Description:
    status = error.code or 500
    type_ = (error.name or "error").lower().replace(" ", "-").replace("'", "")
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return status, type_, f"This address takes {allowed}.", {"Allow": allowed}, {}
    if isinstance(error, NotFound):
        return status, type_, why_not_found(path), {}, {}
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    return status, type_, error.description or "The request cannot be answered.", headers, {}


def why_not_found(path: str) -> str:
    """What is said about an address that does not exist; it never repeats the address."""
    parts = path.split("/")
    if len(parts) > 2 and parts[1] == "models":  # noqa: PLR2004
        if not re.fullmatch(NAME_PATTERN, parts[2]):
            return f"There is nothing at this address. A model's name has {NAME_RULE}."
        if len(parts) > 4 and parts[3] == "versions":  # noqa: PLR2004
            return (
                f"There is nothing at this address: {VERSION_RULE}, as in /models/{parts[2]}/versions/1. "
                f"To have the server number an upload, POST it: "
                f"curl --data-binary @model.skops http://HOST:PORT/models/{parts[2]}/versions"
            )
        if len(parts) > 4 and parts[3] == "aliases":  # noqa: PLR2004
            return f"There is nothing at this address. An alias has {NAME_RULE}."
    return "There is nothing at this address. GET / lists what is here."
