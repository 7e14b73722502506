"""The contract of a registry: which models, versions and aliases there are, and every change to them.

A registry holds rows, never bytes. Each changing method is one transaction that also writes its event row and
raises the revision by one, so that readers know when what they remember is old. To add a backend: implement
`Registry`, name it in `wsgi_service/app.py`, and add it to the list in `tests/contracts/test_registry.py`.
"""

from collections.abc import Callable, Collection
from typing import Any, Protocol

from model_store.entities import Alias, Attribution, Draft, Event, Model, Patience, State, Version
from model_store.safety import Report


class Registry(Protocol):
    """Rows of models, versions, aliases and events."""

    def revision(self) -> int:
        """A number that grows with every change; 0 for a new registry."""

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called after each change that was committed through this object."""

    def count_models(self) -> int:
        """How many models there are."""

    def probe(self) -> None:
        """Prove that a change could be written now.

        Raises:
            StorageError: it could not.
        """

    def models(self, limit: int, after: str = "") -> list[Model]:
        """At most `limit` models in the order of their names, beginning behind `after`; may be empty."""

    def model(self, name: str) -> Model:
        """One model. Raises ModelNotFound."""

    def create_model(self, model: Model, by: Attribution) -> Model:
        """Atomically add a model. Raises ModelExists."""

    def update_model(self, name: str, changes: dict[str, Any], by: Attribution) -> Model:
        """Atomically change description or tags. Raises ModelNotFound."""

    def delete_model(self, name: str, by: Attribution) -> set[str]:
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
        confirm: Callable[[], None] = lambda: None,
    ) -> tuple[Version, bool]:
        """Atomically add a version, and its model if that is new.

        Without `number` it gets the highest number ever used plus one. The model's first version gets the alias
        `live`, unless that was once deleted by hand. `confirm` runs inside the transaction and may raise.

        Returns the version and whether it is new: the same bytes again under `number` are not.
        Raises VersionExists or VersionRetired.
        """

    def update_version(self, model: str, number: int, changes: dict[str, Any], by: Attribution) -> Version:
        """Atomically change description, tags, class_names, schema or state. Raises VersionNotFound."""

    def delete_version(self, model: str, number: int, by: Attribution) -> str:
        """Atomically delete a version and retire its number; returns its digest.

        Raises VersionNotFound, or VersionInUse while an alias points to it.
        """

    def aliases(self, model: str) -> list[Alias]:
        """A model's aliases by name; empty if there are none. Raises ModelNotFound."""

    def alias(self, model: str, alias: str) -> Alias:
        """One alias. Raises ModelNotFound or AliasNotFound."""

    def set_alias(self, model: str, alias: str, number: int, by: Attribution) -> tuple[Alias, bool]:
        """Atomically point an alias to a version; returns it and whether it is new. Raises VersionNotFound."""

    def delete_alias(self, model: str, alias: str, by: Attribution) -> None:
        """Atomically remove an alias. Raises ModelNotFound or AliasNotFound."""

    def safety(self, model: str, number: int) -> Report | None:
        """The safety report of a version; None where none was made. Raises ModelNotFound or VersionNotFound."""

    def note_crash(self, version: Version, reason: str, patience: Patience, by: Attribution) -> State:
        """Atomically write that a version took a host down, and put it in quarantine if that was once too often.

        Counted are crashes within `patience.seconds`, since the quarantine was last lifted. Returns its state.
        """

    def lift_quarantine(self, model: str, number: int, by: Attribution) -> Version:
        """Atomically let a version serve again. Raises VersionNotFound or NotQuarantined."""

    def events(self, model: str) -> list[Event]:
        """Everything that ever happened to a model of this name, oldest first."""

    def release(self, digests: Collection[str], unlink: Callable[[str], None]) -> None:
        """Call `unlink` for each digest that no version holds, inside a write transaction."""
