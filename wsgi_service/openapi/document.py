"""The OpenAPI 3.1 document of the whole server (https://spec.openapis.org/oas/v3.1.0), made from its Map."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from werkzeug.routing import Map, Rule

from model_store.entities import MAX_VERSION, NAME_PATTERN
from wsgi_service.http.representations import ProblemDocument
from wsgi_service.openapi.operations import JsonSchema, Operation, Parameter, header
from wsgi_service.openapi.schemas import REFERENCE, schemas_of, summary_and_description
from wsgi_service.routes import Route, Scope, Work

JSON, PROBLEM = "application/json", "application/problem+json"
ABOUT = (
    "Models under names, immutable numbered versions of them, aliases that point to versions, and predictions. "
    "Every error is a problem document (RFC 9457)."
)
NAME: JsonSchema = {"type": "string", "pattern": f"^{NAME_PATTERN}$"}
#: What stands in an address.
IN_PATHS: dict[str, JsonSchema] = {
    "model": NAME,
    "alias": NAME,
    "number": {"type": "integer", "minimum": 1, "maximum": MAX_VERSION},
    "file": {"type": "string"},
}
GUARDS = (
    header("If-Match", "The ETag of what may be changed; if there is something else by now, nothing happens."),
    header("If-None-Match", "`*`, if only something new may be made."),
)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: Statuses of problems, by what an endpoint does.
EVERYWHERE, WITH_STORE, WITH_HOSTS = (400, 421), (503, 507), (501, 502, 503, 504, 507)


def document(url_map: Map, release: str, secured: Collection[Scope] = ()) -> JsonSchema:
    """The document.

    Args:
        url_map: of the server.
        release: of this software.
        secured: scopes for which the server wants its token.
    """
    rules = [rule for rule in url_map.iter_rules() if operation_of(rule) is not None]
    schemas, components = schemas_of([ProblemDocument, *_types(rules)])
    paths: dict[str, Any] = {}
    for rule in rules:
        (method,) = (rule.methods or set()) - {"HEAD"}
        paths.setdefault(path_of(rule), {})[method.lower()] = _operation(rule, method, schemas, secured)
    parts: dict[str, Any] = {"schemas": components, "responses": {"Problem": _problem()}}
    if secured:
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "wsgi-service", "version": release, "description": ABOUT},
        "paths": paths,
        "components": parts,
    }


def operation_of(rule: Rule) -> Operation | None:
    """What an endpoint says about itself; pages for people say nothing."""
    route: Route = rule.endpoint
    return getattr(route.call, "operation", None)


def path_of(rule: Rule) -> str:
    """An address as OpenAPI writes it."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def _types(rules: list[Rule]) -> Iterator[Any]:
    for rule in rules:
        described = operation_of(rule)
        assert described is not None  # noqa: S101 - they were chosen by that
        for said in (*described.answers.values(), described.body):
            for type_ in said.values() if isinstance(said, dict) else [said]:
                if type_ is not None and not isinstance(type_, dict):
                    yield type_


def _operation(rule: Rule, method: str, schemas: dict[Any, JsonSchema], secured: Collection[Scope]) -> JsonSchema:
    route: Route = rule.endpoint
    described = operation_of(rule)
    assert described is not None  # noqa: S101 - they were chosen by that
    parameters = [_in_path(name) for name in re.findall(r"{(\w+)}", path_of(rule))]
    parameters += map(_parameter, (*described.parameters, *(GUARDS if described.guarded else ())))
    said: JsonSchema = {
        "operationId": _name_of(method, path_of(rule)),
        "tags": [type(route.call.__self__).__name__],  # type: ignore[attr-defined]
        **summary_and_description(route.call),
    }
    if parameters:
        said["parameters"] = parameters
    if described.body is not None:
        said["requestBody"] = {
            "content": _content(described.body, schemas),
            "required": not described.body_optional,
        }
    said["responses"] = _answers(described, schemas) | {
        str(status): {"$ref": "#/components/responses/Problem"} for status in _failures(rule, method, secured)
    }
    if route.scope in secured:
        said["security"] = [{"token": []}]
    return said


def _answers(described: Operation, schemas: dict[Any, JsonSchema]) -> dict[str, JsonSchema]:
    return {
        str(status): {"description": WORDS[status]}
        | ({} if body is None else {"content": _content(body, schemas)})
        for status, body in described.answers.items()
    }


#: What a status means here.
WORDS = {
    200: "Done.", 201: "Made.", 204: "Done; there is nothing to say.", 206: "A part of it.",
    304: "The client has it already.", 503: "Not now.",
}  # fmt: skip


def _content(body: Any, schemas: dict[Any, JsonSchema]) -> JsonSchema:
    """Media type -> schema."""
    by_type = body if isinstance(body, dict) else {JSON: body}
    return {
        media_type: {"schema": type_ if isinstance(type_, dict) else schemas[type_]}
        for media_type, type_ in by_type.items()
    }


def _failures(rule: Rule, method: str, secured: Collection[Scope]) -> list[int]:
    """The statuses of problems that a request to this address may get."""
    route: Route = rule.endpoint
    described = operation_of(rule)
    assert described is not None  # noqa: S101 - they were chosen by that
    reads = described.body is not None or bool(described.parameters)
    found = {*EVERYWHERE, *described.fails}
    found |= {401, 403, 429} if route.scope in secured else set()
    found |= set() if method in SAFE else {403}
    found |= {404} if rule.arguments or route.work is Work.PREDICT else set()
    found |= {413, 415} if described.body is not None else set()
    found |= {406} if _writes_several(described) else set()
    found |= {422} if reads else set()
    found |= {412, 428} if described.guarded else {412} if _has_tag(route, method) else set()
    found |= set(WITH_STORE) if route.scope is not Scope.OPEN else set()
    found |= set(WITH_HOSTS) if route.work is not Work.LIGHT else set()
    return sorted(found - described.answers.keys())


def _writes_several(described: Operation) -> bool:
    return any(isinstance(body, dict) and len(body) > 1 for body in described.answers.values())


def _has_tag(route: Route, method: str) -> bool:
    return method == "GET" and route.scope is Scope.READ and route.work is Work.LIGHT


def _in_path(name: str) -> JsonSchema:
    return {"name": name, "in": "path", "required": True, "schema": IN_PATHS[name]}


def _parameter(parameter: Parameter) -> JsonSchema:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.about,
        "schema": parameter.schema,
    }


def _name_of(method: str, path: str) -> str:
    return method.lower() + "_" + "_".join(re.findall(r"\w+", path)) if path != "/" else f"{method.lower()}_index"


def _problem() -> JsonSchema:
    return {
        "description": "What was wrong, where, and what to do.",
        "content": {PROBLEM: {"schema": {"$ref": REFERENCE.format(name="ProblemDocument")}}},
    }
