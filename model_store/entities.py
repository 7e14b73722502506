"""Model, Version, Alias and Event, and the rules for their names and numbers."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from model_store.acceleration.report import Program, Verdict
from model_store.errors import InvalidMetadata, InvalidName, InvalidVersion
from model_store.proof.examples import Examples
from model_store.safety import Report
from model_store.schema import Schema

#: A name never becomes a path, but it travels through URLs, shells and log files: hence the narrow rule.
NAME_PATTERN = r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?"
NAME_RULE = (
    "1 to 64 characters: lower-case letters a-z, digits, '.', '_' and '-', "
    "beginning and ending with a letter or digit"
)
MAX_VERSION = 2**31 - 1
#: Characters of a description, and bytes of tags; lists and histories hold many of them.
LONGEST_DESCRIPTION, LARGEST_TAGS = 10_000, 16 << 10
VERSION_RULE = f"a version is a whole number from 1 to {MAX_VERSION}, without leading zeros"
#: The alias that a predict without version or alias means.
LIVE = "live"
#: What stands in the place of a model's name in events that are about none.
NO_MODEL = ""

Tags = list[str] | dict[str, str]
#: Called inside a transaction with what is there now, None if nothing is; it may raise, and nothing is changed.
Guard = Callable[[Any], None]
State = Literal["ready", "quarantined", "corrupt"]
#: What computes answers: the estimator itself in a model host, or ONNX Runtime.
Engine = Literal["native", "onnx"]
#: What computed an answer: `mixed` where a program left some of the rows to its estimator.
Answering = Literal["native", "onnx", "mixed"]
NATIVE: Engine = "native"
ONNX: Engine = "onnx"
MIXED: Answering = "mixed"


class Model(Struct, frozen=True, kw_only=True):
    """A named line of versions."""

    name: str
    description: str | None = None
    tags: Tags = {}
    versions: int = 0
    aliases: dict[str, int] = {}
    created_at: str = ""


class Facts(Struct, frozen=True, kw_only=True):
    """What an inspection finds out about an artifact; it never changes afterwards.

    Attributes:
        environment: the releases that judged it.
        fitted: the releases that the artifact says it was fitted with.
        faults: what does not make sense in its answers; then it serves nobody.
    """

    format: str
    estimator: str
    methods: tuple[str, ...]
    schema: Schema
    environment: dict[str, str]
    fitted: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class Inspection(Struct, frozen=True):
    """Everything an inspection gives.

    Attributes:
        silent: why the estimator does not answer the sample that was read off it; empty if it does.
    """

    facts: Facts
    safety: Report
    silent: str = ""


class Version(Struct, frozen=True, kw_only=True):
    """One immutable artifact under a model's name, with what was found out about it.

    Attributes:
        engine: what computes its answers, where nothing in a request keeps it from it.
        pinned: the engine that somebody chose; without it a program answers as soon as it is proven.
        acceleration: what came of proving one.
        program: the one that is proven.
        faults: what does not make sense in its answers. It is in quarantine then, and no alias can point to it.
    """

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
    engine: Engine = NATIVE
    pinned: Engine | UnsetType = UNSET
    acceleration: Verdict | UnsetType = UNSET
    program: Program | UnsetType = UNSET
    environment: dict[str, str] = {}
    fitted: dict[str, str] = {}
    description: str | None = None
    tags: Tags = {}
    aliases: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    created_at: str = ""


class Draft(Struct, frozen=True, kw_only=True):
    """A version that has been checked and stored, but has no number and no row yet.

    Attributes:
        proven: whether it answers its sample, and its examples as it should; only then `live` may come to it by
            itself.
    """

    digest: str
    size: int
    facts: Facts
    safety: Report | None = None
    class_names: tuple[str, ...] | None = None
    examples: Examples | None = None
    proven: bool = True


class UploadKey(Struct, frozen=True):
    """What an upload is known by when it is sent again: its key, and a hash of everything that was sent."""

    key: str
    fingerprint: str


class Alias(Struct, frozen=True, kw_only=True):
    """A movable name for one version of a model."""

    model: str
    alias: str
    version: int
    updated_at: str = ""


class Attribution(Struct, frozen=True):
    """Who asked for a change, in which request, and why."""

    actor: str
    request_id: str
    reason: str | None = None


class Patience(Struct, frozen=True):
    """How many crashes within how many seconds put a version in quarantine."""

    crashes: int = 3
    seconds: float = 600.0


class Action(StrEnum):
    """What an event was."""

    CREATE_MODEL = "create-model"
    UPDATE_MODEL = "update-model"
    DELETE_MODEL = "delete-model"
    UPLOAD = "upload"
    UPDATE_VERSION = "update-version"
    SET_EXAMPLES = "set-examples"
    ACCELERATE = "accelerate"
    DELETE_VERSION = "delete-version"
    MOVE_ALIAS = "move-alias"
    ROLL_BACK = "roll-back"
    DELETE_ALIAS = "delete-alias"
    CRASH = "crash"
    DAMAGE = "damage"
    QUARANTINE = "quarantine"
    LIFT_QUARANTINE = "lift-quarantine"
    CREATE_TOKEN = "create-token"  # noqa: S105 - the name of an action
    REVOKE_TOKEN = "revoke-token"  # noqa: S105


class Event(Struct, frozen=True, kw_only=True):
    """One change, written in the transaction that made it.

    Attributes:
        previous: the hash of the event before it in the same model's history; None for the first.
        hash: of everything in this event, `previous` included; see `chain.py`.
    """

    id: int = 0
    at: str
    actor: str
    request_id: str
    action: str
    model: str
    version: int | None = None
    alias: str | None = None
    before: Any = None
    after: Any = None
    reason: str | None = None
    previous: str | None = None
    hash: str = ""


def unguarded(_now: Any) -> None:
    """The guard of a change that may happen whatever is there."""


def check_name(name: str, kind: str = "model") -> str:
    """The name itself, if it follows the rule.

    Raises:
        InvalidName: otherwise; the text states the rule and never repeats the name.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidName(f"The {kind} name is not allowed. A name has {NAME_RULE}.")
    return name


def check_annotations(description: str | None, tags: Tags | None) -> None:
    """Raises InvalidMetadata for a description or tags that are too long to be listed."""
    if description is not None and len(description) > LONGEST_DESCRIPTION:
        raise InvalidMetadata(f"A description has at most {LONGEST_DESCRIPTION} characters.")
    if tags is not None and len(msgspec.json.encode(tags)) > LARGEST_TAGS:
        raise InvalidMetadata(f"Tags take at most {LARGEST_TAGS >> 10} KB.")


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
    return rfc3339(datetime.now(UTC) + timedelta(seconds=seconds))


def rfc3339(moment: datetime) -> str:
    """A moment in UTC as the store writes it: RFC 3339, in milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
