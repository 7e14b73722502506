"""Strong validators and preconditions (RFC 9110, sections 8.8 and 13): who changes what, knowing what is there."""

import re
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from model_store.entities import Guard
from wsgi_service.http.problems import Problem
from wsgi_service.http.responses import entity_tag, json_response

ENTITY_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
ENTITY_TAGS = re.compile(rf"\s*{ENTITY_TAG}(?:\s*,\s*{ENTITY_TAG})*\s*")


def representation(request: Request, value: Any) -> Response:
    """The JSON of what is at an address, with a strong ETag; 304 if the client has it. Raises a 412 Problem."""
    tag = entity_tag(value)
    check_if_match(request, tag)
    response = json_response(value)
    response.set_etag(tag)
    return response.make_conditional(request)


def check_if_match(request: Request, tag: str) -> None:
    """Raises a 412 Problem for a request that wants another state than the one with this tag."""
    wanted = _wanted(request.headers.get("If-Match"))
    if wanted is not None and not wanted & {"*", tag}:
        raise _stale(tag)


def guard(request: Request, show: Callable[[Any], Any] | None = None, required: bool = False) -> Guard:
    """The request's If-Match and If-None-Match, as a guard for the change that it asks for.

    Args:
        request: that asks.
        show: makes of what is there the representation that GET answers with.
        required: whether a change of something that is there needs If-Match.

    Raises:
        Problem: 400 for an If-Match that is not a list of entity tags. The guard itself raises 412 if the
            preconditions do not hold, and 428 if there must be some.
    """
    wanted = _wanted(request.headers.get("If-Match"))
    unwanted = _unwanted(request.headers.get("If-None-Match"))

    def check(there: Any) -> None:
        asked = wanted is not None or unwanted
        tag = entity_tag(show(there) if show else there) if asked and there is not None else ""
        if there is not None and unwanted & {"*", tag}:
            raise not_new()
        if wanted is not None:
            _check_match(wanted, there, tag)
        elif required and there is not None:
            raise Problem(
                428,
                "precondition-required",
                "This server moves aliases only with If-Match. GET the alias first, and send its ETag.",
            )

    return check


def not_new() -> Problem:
    """The answer to If-None-Match: * for something that is there."""
    return Problem(
        412, "precondition-failed", "If-None-Match: * asks for something new, and this is there already."
    )


def _wanted(header: str | None) -> set[str] | None:
    """The tags that would do, None if any state will."""
    if header is None:
        return None
    if header.strip() == "*":
        return {"*"}
    if not ENTITY_TAGS.fullmatch(header):
        raise Problem(400, "bad-request", 'If-Match must be * or entity tags in double quotes: "0123abcd".')
    # A weak tag never matches here (RFC 9110, section 13.1.1).
    return {tag.strip('"') for tag in re.findall(ENTITY_TAG, header) if not tag.startswith("W/")}


def _unwanted(header: str | None) -> set[str]:
    """The tags that would not do, compared weakly (RFC 9110, section 13.1.2)."""
    if header is None:
        return set()
    return (
        {"*"}
        if header.strip() == "*"
        else {tag.removeprefix("W/").strip('"') for tag in re.findall(ENTITY_TAG, header)}
    )


def _check_match(wanted: set[str], there: Any, tag: str) -> None:
    if there is None:
        raise Problem(412, "precondition-failed", "If-Match asks for something that is there, and this is not.")
    if not wanted & {"*", tag}:
        raise _stale(tag)


def _stale(tag: str) -> Problem:
    detail = "It was changed since you read it. GET it again, look at what is different, and send its new ETag."
    return Problem(412, "precondition-failed", detail, {"ETag": f'"{tag}"'})
