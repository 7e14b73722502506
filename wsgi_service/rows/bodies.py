"""The body of a predict, by its media type."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Request

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
from wsgi_service.rows.formats import form_body
from wsgi_service.rows.row_formats import BY_ENDING, BY_TYPE, CSV, Format
from wsgi_service.rows.unread import Sent

FORM, FIELDS = "multipart/form-data", "application/x-www-form-urlencoded"
MEDIA_TYPES = (*BY_TYPE, FORM, FIELDS)


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
    format_ = BY_TYPE.get(type_)
    claim = claim_for(request, packed=format_ is None or format_.packed)
    if format_ is not None:
        body: Any = claimed_view(request, claim) if format_.in_place else claimed_body(request, claim)
        return format_.read(body, control, claim, keys)
    with read_form(request, folder) as form:
        fields = take(form.fields.to_dict(), keys)
        claim.keep(form.size)
        content, format_ = form.file(), _format_of(form.files["file"])
        take_turn(claim, len(content))
    return format_.read(content, control | fields, claim, keys)


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


def _format_of(file: Any) -> Format:
    """The format of a part: what it says, or how its name ends, or CSV."""
    ending = Path(file.filename or "").suffix.lower()
    return BY_TYPE.get(file.mimetype) or BY_ENDING.get(ending, CSV)
