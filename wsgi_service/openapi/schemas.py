"""JSON Schemas of our types, with what their docstrings say about each attribute."""

import inspect
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from wsgi_service.openapi.operations import JsonSchema

REFERENCE = "#/components/schemas/{name}"
ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {6,}.*)*)", re.MULTILINE)


def schemas_of(types: Iterable[Any]) -> tuple[dict[Any, JsonSchema], dict[str, JsonSchema]]:
    """Type -> its schema, and the components that these schemas refer to by name."""
    wanted = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(wanted, ref_template=REFERENCE)
    return dict(zip(wanted, schemas, strict=True)), {
        name: described(schema) for name, schema in components.items()
    }


def described(schema: JsonSchema) -> JsonSchema:
    """A schema whose properties have the descriptions that stand in the docstring of the type."""
    about, _, attributes = inspect.cleandoc(schema.get("description", "")).partition("\n\nAttributes:\n")
    said = {name: _joined(words) for name, words in ATTRIBUTE.findall(attributes)}
    properties = {
        name: {**property_, "description": said[name]} if name in said else property_
        for name, property_ in schema.get("properties", {}).items()
    }
    more = {"properties": properties} if properties else {}
    return {**schema, **({"description": _joined(about)} if about else {}), **more}


def summary_and_description(endpoint: Any) -> dict[str, str]:
    """The docstring of an endpoint: its first line, and the rest if there is any."""
    first, _, rest = (endpoint.__doc__ or "").partition("\n")
    return {"summary": first.strip().rstrip("."), **({"description": _joined(rest)} if rest.strip() else {})}


def _joined(text: str) -> str:
    return " ".join(text.split())
