"""The body of a predict, by its media type: one module reads each."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Request

from wsgi_service.errors import InvalidRequest
from wsgi_service.http.budget import Claim
from wsgi_service.http.forms import read_form
from wsgi_service.http.problems import Problem
from wsgi_service.http.requests import (
    claim_for,
    claimed_body,
    claimed_view,
    media_type,
    query,
    read_fields,
    take_turn,
)
from wsgi_service.rows.control import take
from wsgi_service.rows.formats import columnar_body, csv_body, form_body, json_body, ndjson_body, npy_body
from wsgi_service.rows.unread import Sent

JSON, FORM, FIELDS = "application/json", "multipart/form-data", "application/x-www-form-urlencoded"
CSV, NDJSON, NPY = "text/csv", "application/x-ndjson", "application/x-npy"
PARQUET, ARROW = "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"
#: Bodies that may become thousands of times as large, or have a part that does.
PACKED = {PARQUET, ARROW, FORM}
#: Media type -> what reads a body that has no place for anything but rows.
READERS: dict[str, Callable[[bytes, dict[str, Any], Claim], Sent]] = {
    CSV: csv_body.read_sent,
    NDJSON: ndjson_body.read_sent,
    NPY: npy_body.read_sent,
    PARQUET: columnar_body.read_parquet,
    ARROW: columnar_body.read_arrow,
}
MEDIA_TYPES = (JSON, CSV, FORM, NDJSON, NPY, PARQUET, ARROW, FIELDS)
#: How the names of files end, where a form does not say their type.
ENDINGS = {".csv": CSV, ".tsv": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON, ".npy": NPY, ".json": JSON,
           ".parquet": PARQUET, ".arrow": ARROW, ".arrows": ARROW, ".feather": ARROW}  # fmt: skip


def read_sent(request: Request, keys: Collection[str], folder: Path) -> Sent:
    """What a request sends.

    Args:
        request: with a body of one of MEDIA_TYPES.
        keys: what may stand beside the rows: in a JSON body, in a form, otherwise in the query string.
        folder: where large parts of a form wait until they are read.

    Raises:
        MalformedBody, InvalidRequest, Problem, RequestEntityTooLarge, TooLargeDecoded.
        Busy: other bodies are being decoded, or take the memory for that.
    """
    control = take(query(request).to_dict(), keys)
    type_ = media_type(request)
    if type_ == FIELDS:
        return _read_fields(request, keys, control)
    claim = claim_for(request, packed=type_ in PACKED)
    if type_ == JSON:
        return _beside(json_body.read_sent(claimed_body(request, claim), keys, claim), control)
    if type_ == FORM:
        with read_form(request, folder) as form:
            fields = take(form.fields.to_dict(), keys)
            claim.keep(form.size)
            body, type_ = form.file(), _type_of(form.files["file"])
            take_turn(claim, len(body))
        return _read_part(body, type_, control | fields, keys, claim)
    if type_ == NPY:
        return npy_body.read_sent(claimed_view(request, claim), control, claim)
    return READERS[type_](claimed_body(request, claim), control, claim)


def _read_part(body: bytes, type_: str, control: dict[str, Any], keys: Collection[str], claim: Claim) -> Sent:
    if type_ == JSON:
        return _beside(json_body.read_sent(body, keys, claim), control)
    return READERS[type_](body, control, claim)


def _beside(sent: Sent, control: dict[str, Any]) -> Sent:
    """What a body with control keys sends, with those that stood beside it."""
    if twice := sent.control.keys() & control.keys():
        raise InvalidRequest(f"{', '.join(sorted(twice))} must be said in one place only.")
    return Sent(control | sent.control, sent.read, sent.flat, sent.claim)


def _read_fields(request: Request, keys: Collection[str], control: dict[str, Any]) -> Sent:
    """A record from an HTML form. Raises a 415 Problem for JSON that curl sent as a form."""
    body = read_fields(request)
    if body.lstrip()[:1] in {b"{", b"["}:
        raise Problem(
            415,
            "unsupported-media-type",
            'This is JSON, sent as a form. With curl, add: -H "Content-Type: application/json"',
        )
    fields = form_body.parse(body, claim_for(request))
    control |= take(fields, keys, of_a_record=True)
    return form_body.read_sent(fields, control)


def _type_of(file: Any) -> str:
    """The media type of a part: what it says, or how its name ends, or what it begins with."""
    if file.mimetype in {*READERS, JSON}:
        return str(file.mimetype)
    ending = Path(file.filename or "").suffix.lower()
    return ENDINGS.get(ending, CSV)
