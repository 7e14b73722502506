"""Bodies of changes: a JSON object with the attributes of a type."""

from typing import Any, TypeVar

import msgspec
from werkzeug.wrappers import Request

from wsgi_service.errors import InvalidRequest, MalformedBody
from wsgi_service.http.requests import claim_for, read_body, take_turn
from wsgi_service.rows.formats.json_body import parse_object
from wsgi_service.rows.formats.json_pieces import RATIO

Body = TypeVar("Body", bound=msgspec.Struct)


def read_json(request: Request, type_: type[Body]) -> tuple[Body, dict[str, Any]]:
    """The body as a Struct, and the keys that were given. Raises MalformedBody or InvalidRequest."""
    claim = claim_for(request)
    text = read_body(request)
    take_turn(claim, len(text))
    claim.grow(RATIO * len(text))
    given = parse_object(text, claim)
    names = {field.encode_name: field.name for field in msgspec.structs.fields(type_)}
    if given.keys() - names.keys():
        raise InvalidRequest(f"The body has keys that are not known here. Known are: {_known(type_)}.")
    try:
        body = msgspec.convert({key: msgspec.json.decode(raw) for key, raw in given.items()}, type_)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedBody("The body is not valid JSON.") from None
    return body, {names[key]: getattr(body, names[key]) for key in given}


def _known(type_: Any) -> str:
    return ", ".join(field.encode_name for field in msgspec.structs.fields(type_))
