"""The contract of a registry: which models, versions and aliases there are, and every change to them.

A registry holds rows, never bytes. Each changing method is one transaction that also writes its event row and
raises the revision by one, so that readers know when what they remember is old. Where there is a `guard`, it is
called inside the transaction with what is there now (None if nothing is); if it raises, nothing is changed.

To add a backend: implement `Registry`, name it in `wsgi_service/app.py`, and add it to the list in
`tests/contracts/test_registry.py`.
"""

from collections.abc import Callable, Collection
from typing import Any, Protocol

from model_store.acceleration.report import Acceleration, Live
from model_store.entities import (
    Alias,
    Attribution,
    Draft,
    Event,
    Guard,
    Model,
    Patience,
    State,
    UploadKey,
    Version,
    unguarded,
)
from model_store.proof.checks import Checks
from model_store.proof.examples import Examples
from model_store.safety import Report
from model_store.tokens import Token


class Registry(Protocol):
    """Rows of models, versions, aliases and events."""

    def revision(self) -> int:
        """A number that grows with every change; 0 for a new registry."""

    def close(self) -> None:
        """Let go of what is held open; it is opened anew when it is needed."""

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called after each change that was committed through this object."""

    def count_models(self) -> int:
        """How many models there are."""

    def probe(self) -> None:
        """Prove that a change could be written now.

        Raises:
            StorageError: it could not.
        """

    def count_versions(self, state: State | None = None) -> int:
        """How many versions there are, or how many of them are in a state."""

    def flaws(self) -> list[str]:
        """What the rows themselves have wrong with them, in words; empty if nothing."""

    def models(self, limit: int, after: str = "") -> list[Model]:
        """At most `limit` models in the order of their names, beginning behind `after`; may be empty."""

    def model(self, name: str) -> Model:
        """One model. Raises ModelNotFound."""

    def create_model(self, model: Model, by: Attribution) -> Model:
        """Atomically add a model. Raises ModelExists."""

    def update_model(self, name: str, changes: dict[str, Any], by: Attribution, guard: Guard = unguarded) -> Model:
        """Atomically change description or tags. Raises ModelNotFound."""

    def delete_model(self, name: str, by: Attribution, guard: Guard = unguarded) -> set[str]:
        """Atomically delete a model with its versions and aliases; the numbers stay retired.

        Returns the digests that its versions had. Raises ModelNotFound.
        """

    def versions(self, model: str) -> list[Version]:
        """A model's versions by number; empty for a model without any. Raises ModelNotFound."""

    def version(self, model: str, number: int) -> Version:
        """One version. Raises ModelNotFound or VersionNotFound."""

    def check_free(self, model: str, number: int, digest: str) -> Version | None:
        """None if the number is free, the version itself if it holds exactly these bytes.

        Raises VersionExists or VersionRetired.
        """

    def add_version(
        self,
        model: str,
        draft: Draft,
        by: Attribution,
        *,
        number: int | None = None,
        key: UploadKey | None = None,
        confirm: Callable[[], None] = lambda: None,
    ) -> tuple[Version, bool]:
        """Atomically add a version, and its model if that is new.

        Without `number` it gets the highest number ever used plus one. The model's first version gets the alias
        `live` if it is proven, unless that was once deleted by hand. `confirm` runs inside the transaction and may
        raise. An upload with a `key` that was answered gets the same answer.

        Returns the version and whether it is new: the same bytes again under `number` are not.
        Raises VersionExists, VersionRetired or KeyReused.
        """

    def answered(self, key: UploadKey) -> Version | None:
        """What an upload with this key was answered with, None if there was none. Raises KeyReused."""

    def forget_answers(self, before: str, after: str) -> None:
        """Forget the keys of uploads from before a moment, or from after another one, when the clock was ahead."""

    def update_version(
        self, model: str, number: int, changes: dict[str, Any], by: Attribution, guard: Guard = unguarded
    ) -> Version:
        """Atomically change description, tags, class_names, schema, engine or state. Raises VersionNotFound."""

    def acceleration(self, model: str, number: int) -> Acceleration | None:
        """The report about a version's acceleration; None where it was not tried. Raises like `examples`."""

    def set_acceleration(
        self,
        model: str,
        number: int,
        report: Acceleration,
        by: Attribution,
        confirm: Callable[[], None] = lambda: None,
    ) -> Version:
        """Atomically keep what came of accelerating a version; from then on a program that passed may answer.

        `confirm` runs inside the transaction and may raise. Raises VersionNotFound.
        """

    def note_compared(self, model: str, number: int, live: Live) -> None:
        """Add to what is known of a program's answers to rows of requests; this is no change of the version.

        Raises ModelNotFound or VersionNotFound.
        """

    def delete_version(self, model: str, number: int, by: Attribution, guard: Guard = unguarded) -> set[str]:
        """Atomically delete a version and retire its number; returns the digests that it had.

        Raises VersionNotFound, or VersionInUse while an alias points to it.
        """

    def aliases(self, model: str) -> list[Alias]:
        """A model's aliases by name; empty if there are none. Raises ModelNotFound."""

    def alias(self, model: str, alias: str) -> Alias:
        """One alias. Raises ModelNotFound or AliasNotFound."""

    def set_alias(
        self,
        model: str,
        alias: str,
        number: int,
        by: Attribution,
        *,
        guard: Guard = unguarded,
        checks: Checks | None = None,
    ) -> tuple[Alias, bool]:
        """Atomically point an alias to a version, and keep the report of the checks that came before it.

        An alias that points there already is left as it is, without an event.
        Returns the alias and whether it is new. Raises VersionNotFound.
        """

    def previous(self, model: str, alias: str) -> int:
        """The version that an alias would go back to. Raises AliasNotFound or NothingBefore.

        That is the one it pointed to before; after going back, the one activated before that, each version once.
        Versions that were deleted are passed over.
        """

    def roll_back(self, model: str, alias: str, number: int, by: Attribution, guard: Guard = unguarded) -> Alias:
        """Atomically take an alias back to `number`.

        Raises AliasNotFound or NothingBefore, or AliasMoved if that is not what it would go back to.
        """

    def delete_alias(self, model: str, alias: str, by: Attribution, guard: Guard = unguarded) -> None:
        """Atomically remove an alias. Raises ModelNotFound or AliasNotFound."""

    def safety(self, model: str, number: int) -> Report | None:
        """The safety report of a version; None where none was made. Raises ModelNotFound or VersionNotFound."""

    def examples(self, model: str, number: int) -> Examples | None:
        """The examples of a version, None if it has none. Raises ModelNotFound or VersionNotFound."""

    def set_examples(
        self, model: str, number: int, given: Examples, by: Attribution, guard: Guard = unguarded
    ) -> None:
        """Atomically give a version other examples, the first of which becomes its columns' sample.

        Raises ModelNotFound or VersionNotFound.
        """

    def checks(self, model: str, number: int) -> list[Checks]:
        """The last reports about moving an alias to a version, newest first. Raises like `examples`."""

    def add_checks(self, report: Checks) -> None:
        """Keep a report about an alias that was not moved; this is no change and has no event."""

    def note_crash(self, version: Version, reason: str, patience: Patience, by: Attribution) -> State:
        """Atomically write that a version took a host down, and put it in quarantine if that was once too often.

        Counted are crashes within `patience.seconds`, since the quarantine was last lifted. Returns its state.
        """

    def note_damage(self, version: Version, by: Attribution) -> None:
        """Atomically write that a version's bytes are damaged, so that it is not served, unless that is known.

        A version in quarantine stays there: it is not served either, and somebody is to lift it.
        Raises ModelNotFound or VersionNotFound.
        """

    def lift_quarantine(
        self, model: str, number: int, by: Attribution, guard: Guard = unguarded, *, sensible: bool = False
    ) -> Version:
        """Atomically let a version serve again.

        Args:
            model: of the version.
            number: of it.
            by: who asks.
            guard: asked, inside the transaction, whether it may.
            sensible: whether its answers were judged anew and make sense.

        Raises:
            VersionNotFound, NotQuarantined: there is no such version, or no quarantine.
            Implausible: its answers made no sense, and were not judged anew.
        """

    def events(self, model: str, limit: int | None = None, after: int = 0) -> list[Event]:
        """What happened to a model of this name, oldest first, beginning behind the event with the id `after`."""

    def newest_events(self, model: str, limit: int) -> list[Event]:
        """The last things that happened to a model of this name, newest first."""

    def histories(self) -> list[str]:
        """The names of all models that ever were, sorted; `NO_MODEL` among them if there ever was a token."""

    def tokens(self) -> list[Token]:
        """All tokens that ever were made, oldest first."""

    def add_token(self, token: Token, by: Attribution) -> None:
        """Atomically let its holder in. Raises TokenExists if one that was not revoked has its name."""

    def revoke_token(self, named: str, by: Attribution) -> Token:
        """Atomically let the holder of the token with this id or name in no more. Raises TokenNotFound."""

    def release(self, digests: Collection[str], unlink: Callable[[str], None]) -> None:
        """Call `unlink` for each digest that no version holds, inside a write transaction."""
