"""What addresses answer in JSON, beside the models, versions, aliases, events and reports themselves."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from model_store.entities import Alias, Event, Model, Version
from model_store.proof.checks import Checks
from model_store.proof.comparison import Comparison
from model_store.proof.examples import Mismatch
from model_store.safety import Report
from model_store.schema import Column
from wsgi_service.errors import RowError


class Index(Struct, frozen=True):
    """What this server is, and where things are."""

    name: str
    version: str
    links: dict[str, str]


class Health(Struct, frozen=True):
    """That the process lives."""

    status: Literal["ok"] = "ok"


class Readiness(Struct, frozen=True):
    """Whether requests can be served now, and if not, what is missing."""

    status: Literal["ready", "not ready"]
    checks: dict[str, bool]


class ModelPage(Struct, frozen=True):
    """Models by name; the token leads to those behind them."""

    models: list[Model]
    next_page_token: str | UnsetType = UNSET


class EventPage(Struct, frozen=True):
    """What happened to a model, oldest first; the token leads to what happened afterwards."""

    events: list[Event]
    next_page_token: str | UnsetType = UNSET


class VersionList(Struct, frozen=True):
    """The versions of a model by number."""

    versions: list[Version]


class AliasList(Struct, frozen=True):
    """The aliases of a model by name."""

    aliases: list[Alias]


class ChecksList(Struct, frozen=True):
    """The last reports about pointing an alias to a version, newest first."""

    checks: list[Checks]


class ShownExamples(Struct, frozen=True, kw_only=True):
    """Rows, and what a version must answer for them.

    Attributes:
        instances: records, or texts for a pipeline that takes them.
        predictions: one entry for each row, as an answer has them.
        given: which outputs came with the examples; the others were recorded from the version's first answers.
        tolerance: how far a number may be from the expected one.
    """

    instances: list[Any]
    predictions: list[Any] | UnsetType = UNSET
    probabilities: list[Any] | UnsetType = UNSET
    given: list[str]
    tolerance: float


class StoredExamples(ShownExamples, frozen=True, kw_only=True):
    """Examples that were stored, with the first ones that the version answers otherwise."""

    mismatches: list[Mismatch]


class Switched(Struct, frozen=True, kw_only=True):
    """Where an alias points now (nothing of that after a dry run), and what was checked before."""

    model: str | UnsetType = UNSET
    alias: str | UnsetType = UNSET
    version: int | UnsetType = UNSET
    updated_at: str | UnsetType = UNSET
    checks: Checks


class RolledBack(Struct, frozen=True):
    """From where to where an alias went back."""

    model: str
    alias: str
    before: int = msgspec.field(name="from")
    to: int


class ComparedVersions(Struct, frozen=True):
    """Two versions of a model on the same rows."""

    model: str
    a: int
    b: int
    comparison: Comparison
    request_id: str


class ProblemDocument(Struct, frozen=True, kw_only=True):
    """An error, as application/problem+json (RFC 9457).

    Attributes:
        type: names the kind of problem; it need not lead anywhere.
        title: the status in words.
        detail: what was wrong, where, and what to do.
        errors: of rows that are wrong, the first hundred.
        expected: the columns of the version that was asked.
        sample: a request that would work.
        version_url: where to read more about the version.
        safety: what the checks of an upload found.
        checks: what was checked before an alias would have moved.
        extra: the optional package that is missing.
    """

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[RowError] | UnsetType = UNSET
    expected: list[Column] | UnsetType = UNSET
    sample: dict[str, Any] | UnsetType = UNSET
    version_url: str | UnsetType = UNSET
    safety: Report | UnsetType = UNSET
    checks: Checks | UnsetType = UNSET
    extra: str | UnsetType = UNSET
