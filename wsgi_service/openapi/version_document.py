"""The OpenAPI 3.1 document of one version: its own columns, categories and classes, and a sample that works."""

import sys
from typing import Any

from msgspec import UNSET

from model_store.entities import Version
from model_store.schema import Column
from wsgi_service.http.representations import ProblemDocument
from wsgi_service.openapi.document import JSON
from wsgi_service.openapi.operations import JsonSchema
from wsgi_service.openapi.schemas import schemas_of
from wsgi_service.rows.formats.json_answer import Predictions

INT64: JsonSchema = {"minimum": -(2**63), "maximum": 2**63 - 1}
TYPES: dict[str, JsonSchema] = {
    "number": {"type": "number", "minimum": -sys.float_info.max, "maximum": sys.float_info.max},
    "integer": {"type": "integer", **INT64},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "datetime": {
        "type": "string",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?$",
        "description": "A date or a time (ISO 8601).",
    },
    "any": {"type": ["number", "string", "boolean"]},
}
#: Keys of a body that mean something of their own, so that no column of a single record may have them.
TAKEN = frozenset({"instances", "inputs", "dataframe_split", "dataframe_records", "method", "return", "exact"})


def version_document(version: Version, release: str, secured: bool = False) -> JsonSchema:
    """The document of a version.

    Args:
        version: that is described.
        release: of this software.
        secured: whether predicts need a token.
    """
    document = _document(version, release)
    if secured:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _document(version: Version, release: str) -> JsonSchema:
    _, components = schemas_of([Predictions, ProblemDocument])
    components["Predictions"] = _answer(components["Predictions"], version)
    components["Record"] = record_schema(version.schema.inputs)
    address = f"/models/{version.model}/versions/{version.version}/predict"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{version.model} version {version.version}",
            "version": release,
            "description": version.description or version.estimator,
        },
        "paths": {address: {"post": _post(version), "get": _get(version)}},
        "components": {"schemas": components},
    }


def column_schema(column: Column) -> JsonSchema:
    """The values that a column takes."""
    schema = dict(TYPES[column.type])
    if column.closed:
        schema = {"enum": list(column.categories or ())}
    elif column.categories is not UNSET:
        schema["examples"] = list(column.categories)[:20]
    if column.nullable:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return schema | ({} if column.sample is None else {"default": column.sample})


def record_schema(columns: tuple[Column, ...]) -> JsonSchema:
    """A row by name."""
    return {
        "type": "object",
        "properties": {column.name: column_schema(column) for column in columns},
        "required": [column.name for column in columns if not column.optional],
        "additionalProperties": False,
    }


def sample_rows(version: Version) -> dict[str, Any]:
    """The body of a request that works."""
    columns = version.schema.inputs
    if version.schema.text:
        return {"instances": [columns[0].sample]}
    return {"instances": [{column.name: column.sample for column in columns if not column.optional}]}


def _post(version: Version) -> JsonSchema:
    bodies = [_rows(version)]
    if not version.schema.text and not {column.name for column in version.schema.inputs} & TAKEN:
        bodies.append({"$ref": "#/components/schemas/Record"})
    return {
        "operationId": "predict",
        "summary": "Predict rows",
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"anyOf": bodies}, "example": sample_rows(version)}},
        },
        "responses": _responses(),
    }


def _get(version: Version) -> JsonSchema:
    return {
        "operationId": "predict_link",
        "summary": "Predict one row in a link",
        "parameters": [
            {
                "name": column.name,
                "in": "query",
                "required": not column.optional,
                "schema": column_schema(column),
            }
            for column in version.schema.inputs
            if column.name not in TAKEN
        ]
        + [{"name": "method", "in": "query", "schema": {"enum": list(version.methods)}}],
        "responses": _responses(),
    }


def _rows(version: Version) -> JsonSchema:
    columns = version.schema.inputs
    values = [column_schema(column) for column in columns]
    by_position = {
        "type": "array",
        "prefixItems": values,
        "items": False,
        "minItems": len(values),
        "maxItems": len(values),
    }
    row = [{"$ref": "#/components/schemas/Record"}, by_position]
    if version.schema.text:
        row.append(values[0])
    return {
        "type": "object",
        "properties": {
            "instances": {"type": "array", "minItems": 1, "items": {"anyOf": row}},
            **_how(version),
        },
        "required": ["instances"],
        "additionalProperties": False,
        "not": {"required": ["method", "return"]},
    }


def _how(version: Version) -> JsonSchema:
    """What may stand beside the rows."""
    methods: JsonSchema = {"enum": list(version.methods)}
    several = {"type": "array", "items": methods, "minItems": 1, "uniqueItems": True}
    return {
        "method": {**methods, "description": "Not beside return."},
        "return": several,
        "exact": {"type": "boolean", "default": False},
    }


def _answer(schema: JsonSchema, version: Version) -> JsonSchema:
    """The schema of answers with this version's methods and classes in it."""
    properties = dict(schema["properties"])
    properties["method"] = {**properties["method"], "enum": list(version.methods)}
    if version.schema.classes is not UNSET:
        properties["classes"] = {**properties["classes"], "examples": [version.schema.classes]}
    if version.class_names is not UNSET:
        names = {"enum": [*version.class_names, None]}
        properties["labels"] = {**properties["labels"], "items": names}
        properties["label"] = {"description": properties["label"]["description"], **names}
    return {**schema, "properties": properties}


def _responses() -> JsonSchema:
    problem = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
    return {
        "200": {
            "description": "One prediction for each row.",
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/Predictions"}}},
        },
        "4XX": {
            "description": "What was wrong, where, and what to do.",
            "content": {"application/problem+json": problem},
        },
    }
