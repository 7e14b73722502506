"""What can go wrong in the store, in the domain's own words and without any HTTP in it.

    StoreError
    ├── NotFound
    │   ├── ModelNotFound
    │   ├── VersionNotFound
    │   ├── AliasNotFound
    │   ├── NotQuarantined       there is no quarantine to lift
    │   ├── NoReport             the version has no safety report
    │   ├── NoExamples           the version has no examples
    │   └── TokenNotFound
    ├── Conflict
    │   ├── ModelExists
    │   ├── VersionExists        other bytes are there already
    │   ├── VersionRetired       the number was deleted and is never reused
    │   ├── VersionInUse         an alias points to it
    │   ├── AliasMoved           somebody else moved it meanwhile
    │   ├── NothingBefore        the alias never pointed to anything else
    │   ├── NotAccelerated       the version has not the engine that was chosen
    │   ├── TokenExists          another token has that name
    │   ├── RehearsalFailed      the version does not load or answer
    │   ├── Implausible          the version's answers make no sense
    │   └── ChecksFailed         a version did not pass what is checked before a switch
    ├── Invalid
    │   ├── InvalidName
    │   ├── InvalidVersion
    │   ├── InvalidMetadata
    │   ├── InvalidExamples
    │   └── KeyReused            an upload's key stands for another upload
    ├── Refused                  an artifact that is not taken
    │   ├── UnsupportedFormat    not a format that is read
    │   ├── Unreadable           damaged, or not what its first bytes claim
    │   ├── Unsafe               holds something that is not allowed
    │   ├── NotAPredictor        nothing in it can predict
    │   └── EnvironmentDrift     fitted with other releases, and the operator refuses that
    ├── MissingExtra             an optional package is needed for this
    ├── ArtifactCorrupt          the stored bytes are no longer those that were uploaded
    └── StorageError             the disk or the database said no
        ├── StorageFull
        ├── StorageFailed        what was to be written was not
        └── StorageBusy

To add an error: add a class here and one line in `wsgi_service/http/problems.py`.
"""

from typing import Any

from model_store.safety import Report


class StoreError(Exception):
    """Anything the store refuses; its text is written for the person who asked."""


class NotFound(StoreError):
    """There is no such thing."""


class ModelNotFound(NotFound):
    """No model has that name."""

    @classmethod
    def named(cls, name: str) -> "ModelNotFound":
        """The error for a name that is well-formed."""
        return cls(f"There is no model '{name}'.")


class VersionNotFound(NotFound):
    """The model has no such version."""


class AliasNotFound(NotFound):
    """The model has no such alias."""


class NotQuarantined(NotFound):
    """The version is not in quarantine."""


class NoReport(NotFound):
    """The version was stored by a release that made no safety reports."""


class NoExamples(NotFound):
    """The version has no examples."""


class TokenNotFound(NotFound):
    """No token has that id or name."""


class Conflict(StoreError):
    """What is there already stands in the way."""


class ModelExists(Conflict):
    """A model of that name exists."""


class VersionExists(Conflict):
    """That version exists with other bytes."""


class VersionRetired(Conflict):
    """That version number was deleted and is never given out again."""


class VersionInUse(Conflict):
    """An alias points to the version."""


class TokenExists(Conflict):
    """Another token has that name."""


class AliasMoved(Conflict):
    """The alias does not point to where it was thought to."""


class NothingBefore(Conflict):
    """The alias never pointed to anything else that is still there."""


class NotAccelerated(Conflict):
    """The version cannot answer with the engine that was chosen."""


class RehearsalFailed(Conflict):
    """The version does not load, or does not answer."""


class Implausible(Conflict):
    """The version's answers make no sense."""


class ChecksFailed(Conflict):
    """A version did not pass what is checked before a switch.

    Args:
        message: what failed.
        checks: the whole report, a `checks.Checks`.
    """

    def __init__(self, message: str, checks: Any) -> None:
        super().__init__(message)
        self.checks = checks


class Invalid(StoreError):
    """What was asked for can never be right."""


class InvalidName(Invalid):
    """A name outside the name rule."""


class InvalidVersion(Invalid):
    """A version number outside 1 to 2147483647."""


class InvalidMetadata(Invalid):
    """Metadata that does not fit the estimator."""


class InvalidExamples(Invalid):
    """Examples that do not fit the version, or too many."""


class KeyReused(Invalid):
    """The key of an upload was used for another one."""


class Refused(StoreError):
    """An artifact that is not taken.

    Args:
        message: what was found, for the person who uploaded it.
        report: the safety report, as far as the check got.
    """

    def __init__(self, message: str, report: Report | None = None) -> None:
        super().__init__(message)
        self.report = report


class UnsupportedFormat(Refused):
    """Bytes of a format that is not read."""


class Unreadable(Refused):
    """Bytes that are damaged, or not what their beginning claims."""


class Unsafe(Refused):
    """A file that holds something that could hurt the server or its users."""


class NotAPredictor(Refused):
    """An object that cannot predict."""


class EnvironmentDrift(Refused):
    """An artifact that was fitted with other releases than those that run."""


class MissingExtra(StoreError):
    """An optional package is needed; `extra` names what to install."""

    def __init__(self, message: str, extra: str) -> None:
        super().__init__(message)
        self.extra = extra


class ArtifactCorrupt(StoreError):
    """The stored bytes no longer have the digest they were stored under."""


class StorageError(StoreError):
    """The disk or the database did not do what was asked; nothing was acknowledged."""


class StorageFull(StorageError):
    """No space is left."""


class StorageFailed(StorageError):
    """The disk failed."""


class StorageBusy(StorageError):
    """The database stayed locked for too long; trying again is safe."""
