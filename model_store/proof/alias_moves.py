"""Moving an alias with proof, and back again."""

import time

from msgspec import UNSET, Struct

from model_store.entities import Alias, Attribution, Guard, Version, now, unguarded
from model_store.environment import OnDrift
from model_store.errors import (
    AliasMoved,
    AliasNotFound,
    ArtifactCorrupt,
    ChecksFailed,
    Implausible,
    RehearsalFailed,
)
from model_store.proof.checks import (
    SENSE,
    Check,
    Checks,
    check_environment,
    check_examples,
    check_schema,
    check_sense,
    verdict_of,
)
from model_store.proof.examples import Examples, wanted
from model_store.proof.rehearsal import Answers, Rehearsal
from model_store.registry import Registry

#: How often the checks are made anew because somebody else moved the alias meanwhile.
ATTEMPTS = 3


class Switch(Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        model, alias, version: what is to point where.
        force: move it also if the checks fail, unless its answers make no sense.
        dry_run: make the checks and move nothing.
        guard: asked, inside the transaction, whether the alias may be moved from where it is.
    """

    model: str
    alias: str
    version: int
    force: bool = False
    dry_run: bool = False
    guard: Guard = unguarded


class Switched(Struct, frozen=True):
    """What came of it: the alias, None in a dry run; whether it is new; and the report."""

    alias: Alias | None
    new: bool
    checks: Checks


class Switchboard:
    """Moves aliases.

    Args:
        registry: where they are.
        rehearsal: has versions load and answer.
        on_drift: what the operator wants done about releases that changed.
    """

    def __init__(self, registry: Registry, rehearsal: Rehearsal, on_drift: OnDrift = "warn") -> None:
        self._registry = registry
        self._rehearsal = rehearsal
        self._on_drift = on_drift

    def activate(self, switch: Switch, by: Attribution) -> Switched:
        """Check a version, and point an alias to it in one transaction.

        Raises:
            ModelNotFound, VersionNotFound: there is no such thing.
            ChecksFailed: the alias stays where it is; the error has the report.
            AliasMoved: others moved it again and again while this was checked.
        """
        for _ in range(ATTEMPTS):
            current = self._pointed_to(switch.model, switch.alias)
            switch.guard(current)
            report = self._report(switch, current, by)
            if switch.dry_run or (report.verdict == "failed" and not report.forced):
                return self._only_report(switch, report)
            try:
                return self._move(switch, current, report, by)
            except AliasMoved:
                continue
        raise AliasMoved("Others moved this alias while it was checked. Look where it points now, and try again.")

    def roll_back(
        self, model: str, alias: str, by: Attribution, expected: int | None = None, guard: Guard = unguarded
    ) -> tuple[int, Alias]:
        """Point an alias to what it pointed to before; returns from which version, and the alias.

        It asks only that the version loads with its digest.

        Args:
            model: whose alias it is.
            alias: the alias.
            by: who asks.
            expected: the version that the alias is thought to point to.
            guard: asked, inside the transaction, whether the alias may be moved from where it is.

        Raises:
            AliasNotFound: there is no such alias.
            AliasMoved: it points to another version than expected.
            NothingBefore: there is nothing to go back to.
            RehearsalFailed: the version before does not load.
        """
        current = self._registry.alias(model, alias)
        guard(current)
        _check_expected(current, current.version if expected is None else expected)
        target = self._registry.previous(model, alias)
        self._check_loads(self._registry.version(model, target), by)

        def still(there: Alias | None) -> None:
            guard(there)
            _check_expected(there, current.version)

        return current.version, self._registry.roll_back(model, alias, target, by, still)

    def _check_loads(self, version: Version, by: Attribution) -> None:
        try:
            self._rehearsal.load(version, by)
        except (RehearsalFailed, ArtifactCorrupt) as error:
            raise RehearsalFailed(
                f"Version {version.version} cannot take over again: {error} Point the alias to another version."
            ) from error

    def _pointed_to(self, model: str, alias: str) -> Alias | None:
        try:
            return self._registry.alias(model, alias)
        except AliasNotFound:
            return None

    def _report(self, switch: Switch, current: Alias | None, by: Attribution) -> Checks:
        started = time.perf_counter()
        version = self._registry.version(switch.model, switch.version)
        old = self._registry.version(switch.model, current.version) if current else None
        rehearsed = self._rehearse(version, by)
        checks = (*rehearsed, check_environment(version, self._on_drift))
        if old is not None and old.version != version.version:
            checks = (*checks, check_schema(old, version))
        verdict = verdict_of(checks)
        forced = verdict == "failed" and switch.force and not any(check.check == SENSE for check in rehearsed)
        return Checks(
            model=switch.model,
            version=switch.version,
            alias=switch.alias,
            against=old.version if old else None,
            verdict=verdict,
            moved=not switch.dry_run and (verdict != "failed" or forced) and old != version,
            forced=forced,
            dry_run=switch.dry_run,
            checks=checks,
            at=now(),
            seconds=round(time.perf_counter() - started, 4),
        )

    def _rehearse(self, version: Version, by: Attribution) -> tuple[Check, ...]:
        """Load the version and have it answer its examples, or its sample if it has none."""
        if version.faults:
            return (check_sense(" ".join(version.faults)),)
        examples = self._registry.examples(version.model, version.version)
        try:
            self._rehearsal.load(version, by)
        except (RehearsalFailed, ArtifactCorrupt) as error:
            return (Check(check="loads", status="failed", message=str(error)),)
        loads = Check(check="loads", status="passed", message="It loads in a model host, and its digest holds.")
        try:
            answers = self._answers(version, examples, by)
        except Implausible as error:
            return loads, check_sense(str(error))
        except (RehearsalFailed, ArtifactCorrupt) as error:
            what = "examples" if examples else "sample"
            return loads, Check(check=what, status="failed", message=str(error))
        return loads, check_examples(examples, answers, version.schema.classes is not UNSET)

    def _answers(self, version: Version, examples: Examples | None, by: Attribution) -> Answers:
        """What a version answers for its examples, or for its sample, if there is one. Raises like `Rehearsal`."""
        if examples is not None:
            return self._rehearsal.answers(version, examples.rows, tuple(examples.outputs), by)
        inputs = version.schema.inputs
        if any(column.sample is None and not column.nullable for column in inputs):
            return {}
        sample = tuple(column.sample for column in inputs)
        return self._rehearsal.answers(version, [sample], wanted(version.methods), by)

    def _only_report(self, switch: Switch, report: Checks) -> Switched:
        self._registry.add_checks(report)
        if not switch.dry_run:
            raise ChecksFailed(_why(report), report)
        return Switched(None, False, report)

    def _move(self, switch: Switch, current: Alias | None, report: Checks, by: Attribution) -> Switched:
        def still(there: Alias | None) -> None:
            switch.guard(there)
            _check_expected(there, current.version if current else None)

        alias, new = self._registry.set_alias(
            switch.model, switch.alias, switch.version, by, guard=still, checks=report
        )
        return Switched(alias, new, report)


def _check_expected(there: Alias | None, expected: int | None) -> None:
    number = there.version if there else None
    if number != expected:
        where = f"points to version {number}" if number else "is gone"
        raise AliasMoved(f"The alias was moved meanwhile: it {where} now.")


def _why(report: Checks) -> str:
    failed = [check.message for check in report.checks if check.status == "failed"]
    return f"The alias stays where it is. {' '.join(failed)}"
