"""Model, Version, Alias and Event, and the rules for their names and numbers."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from model_store.errors import InvalidName, InvalidVersion
from model_store.safety import Report
from model_store.schema import Schema

#: A name never becomes a path, but it travels through URLs, shells and log files: hence the narrow rule.
NAME_PATTERN = r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?"
NAME_RULE = (
    "1 to 64 characters: lower-case letters a-z, digits, '.', '_' and '-', "
    "beginning and ending with a letter or digit"
)
MAX_VERSION = 2**31 - 1
VERSION_RULE = f"a version is a whole number from 1 to {MAX_VERSION}, without leading zeros"
#: The alias that a predict without version or alias means.
LIVE = "live"

Tags = list[str] | dict[str, str]
State = Literal["ready", "quarantined", "corrupt"]


class Model(Struct, frozen=True, kw_only=True):
    """A named line of versions."""

    name: str
    description: str | None = None
    tags: Tags = {}
    versions: int = 0
    aliases: dict[str, int] = {}
    created_at: str = ""


class Facts(Struct, frozen=True, kw_only=True):
    """What an inspection finds out about an artifact; it never changes afterwards."""

    format: str
    estimator: str
    methods: tuple[str, ...]
    schema: Schema
    environment: dict[str, str]
    warnings: tuple[str, ...] = ()


class Inspection(Struct, frozen=True):
    """Everything an inspection gives: the facts, and the safety report."""

    facts: Facts
    safety: Report


class Version(Struct, frozen=True, kw_only=True):
    """One immutable artifact under a model's name, with what was found out about it."""

    model: str
    version: int
    state: State = "ready"
    digest: str
    size: int
    format: str
    estimator: str
    methods: tuple[str, ...]
    schema: Schema
    class_names: tuple[str, ...] | UnsetType = UNSET
    environment: dict[str, str] = {}
    description: str | None = None
    tags: Tags = {}
    aliases: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    created_at: str = ""


class Draft(Struct, frozen=True, kw_only=True):
    """A version that has been checked and stored, but has no number and no row yet."""

    digest: str
    size: int
    facts: Facts
    safety: Report | None = None
    class_names: tuple[str, ...] | None = None


class Alias(Struct, frozen=True, kw_only=True):
    """A movable name for one version of a model."""

    model: str
    alias: str
    version: int
    updated_at: str = ""


class Attribution(Struct, frozen=True):
    """Who asked for a change, and in which request."""

    actor: str
    request_id: str


class Patience(Struct, frozen=True):
    """How many crashes within how many seconds put a version in quarantine."""

    crashes: int = 3
    seconds: float = 600.0


class Event(Struct, frozen=True, kw_only=True):
    """One change, written in the transaction that made it."""

    id: int
    at: str
    actor: str
    request_id: str
    action: str
    model: str
    version: int | None = None
    alias: str | None = None
    before: Any = None
    after: Any = None


def check_name(name: str, kind: str = "model") -> str:
    """The name itself, if it follows the rule.

    Raises:
        InvalidName: otherwise; the text states the rule and never repeats the name.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidName(f"The {kind} name is not allowed. A name has {NAME_RULE}.")
    return name


def check_version(number: int) -> int:
    """The number itself, if it can be a version.

    Raises:
        InvalidVersion: otherwise.
    """
    if not 1 <= number <= MAX_VERSION:
        raise InvalidVersion(f"The version is not allowed: {VERSION_RULE}.")
    return number


def now(seconds: float = 0.0) -> str:
    """The present moment, or one so many seconds from it, in RFC 3339 form, in UTC with milliseconds."""
    return (
        (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
