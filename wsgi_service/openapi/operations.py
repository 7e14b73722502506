"""What an endpoint says about itself for OpenAPI, beside its docstring, its route and the media types it reads."""

from collections.abc import Callable, Mapping, Set
from typing import Any, TypeVar

from msgspec import Struct

from model_store.entities import MAX_VERSION
from wsgi_service.errors import UnknownParameter

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
JsonSchema = dict[str, Any]

BYTES: JsonSchema = {"type": "string", "format": "binary"}


class Parameter(Struct, frozen=True):
    """A key of the query string, or a header.

    Attributes:
        schema: its JSON Schema.
        about: one sentence.
    """

    name: str
    schema: JsonSchema
    about: str
    place: str = "query"


class Operation(Struct, frozen=True, kw_only=True):
    """An endpoint, described.

    Attributes:
        answers: status -> the type of the JSON, a dict from media types to schemas, or None for no content.
        body: the type of the JSON that it reads, or a dict from media types to schemas; None if it reads nothing.
        body_optional: whether it can do without.
        parameters: of the query string, and headers.
        fails: statuses of problems beside those that follow from the route.
        guarded: whether it looks at If-Match and If-None-Match.
        polled: whether it is asked by machines that may add keys of their own to the query string.
    """

    answers: Mapping[int, Any]
    body: Any = None
    body_optional: bool = False
    parameters: tuple[Parameter, ...] = ()
    fails: tuple[int, ...] = ()
    guarded: bool = False
    polled: bool = False

    def check_parameters(self, given: Set[str]) -> None:
        """Raises UnknownParameter for keys of a query string that it does not name, unless it takes any."""
        known = [one for one in self.parameters if one.place == "query"]
        columns = any(one.schema.get("type") == "object" for one in known)
        if self.polled or columns or not given - {one.name for one in known}:
            return
        if not known:
            raise UnknownParameter("This address takes no keys in the query string.")
        names = ", ".join(one.name for one in known)
        raise UnknownParameter(f"The query string has keys that are not known here. Known are: {names}.")


def operation(
    answers: Any,
    *,
    body: Any = None,
    body_optional: bool = False,
    parameters: tuple[Parameter, ...] = (),
    fails: tuple[int, ...] = (),
    guarded: bool = False,
    polled: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Describe an endpoint; `answers` may be the type of a 200 alone."""
    described = Operation(
        answers=answers if isinstance(answers, dict) else {200: answers},
        body=body,
        body_optional=body_optional,
        parameters=parameters,
        fails=fails,
        guarded=guarded,
        polled=polled,
    )

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.operation = described  # type: ignore[attr-defined]
        return endpoint

    return declare


def whole_number(name: str, about: str, lowest: int = 1, highest: int = MAX_VERSION) -> Parameter:
    """A parameter that is a whole number."""
    return Parameter(name, {"type": "integer", "minimum": lowest, "maximum": highest}, about)


def flag(name: str, about: str) -> Parameter:
    """A parameter that is true or false."""
    return Parameter(name, {"type": "boolean"}, about)


def text(name: str, about: str, **schema: Any) -> Parameter:
    """A parameter that is a text."""
    return Parameter(name, {"type": "string", **schema}, about)


def header(name: str, about: str, **schema: Any) -> Parameter:
    """A header."""
    return Parameter(name, {"type": "string", **schema}, about, "header")


#: Of whatever changes something.
REASON = text("reason", "Why, for the history.", maxLength=500)
