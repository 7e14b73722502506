"""What is checked before an alias moves, and the report about it."""

from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct

from model_store.entities import Version
from model_store.environment import OnDrift, drift
from model_store.proof.examples import Examples, mismatches
from model_store.schema import Column, Schema

Status = Literal["passed", "warning", "failed"]
#: Entries that a report names of each kind; it says how many there are in all.
NAMED = 20
#: The check that force does not overrule.
SENSE = "sense"
#: Methods whose loss breaks requests; estimators come and go with the others, and few ask for them.
RELIED_UPON = frozenset({"predict", "transform", "predict_proba"})


class Check(Struct, frozen=True, kw_only=True):
    """One thing that was checked.

    Attributes:
        check: its name.
        status: `failed` keeps the alias where it is.
        message: for the person who moves it.
        details: for programs.
    """

    check: str
    status: Status
    message: str
    details: dict[str, Any] = {}


class Checks(Struct, frozen=True, kw_only=True):
    """The report about moving an alias to a version.

    Attributes:
        against: the version that the alias pointed to; None if there was no alias.
        verdict: the worst status of all checks.
        moved: whether the alias was moved, which a failed report allows only by force.
        dry_run: whether only the report was asked for.
    """

    model: str
    version: int
    alias: str
    against: int | None
    verdict: Status
    moved: bool
    forced: bool = False
    dry_run: bool = False
    checks: tuple[Check, ...]
    at: str
    seconds: float


def verdict_of(checks: Iterable[Check]) -> Status:
    """The worst status of some checks."""
    found = {check.status for check in checks}
    return "failed" if "failed" in found else "warning" if "warning" in found else "passed"


def check_examples(examples: Examples | None, answers: dict[str, list[Any]], classes: bool) -> Check:
    """Whether the version, which has classes or not, answers its examples as it should."""
    if examples is None:
        return Check(check="examples", status="warning", message="The version has no examples to be tried with.")
    if not any(output is not None for outputs in examples.outputs.values() for output in outputs):
        message = "There is no output of the examples that could be compared."
        return Check(check="examples", status="warning", message=message)
    wrong = list(mismatches(examples, answers, classes))
    rows = len({mismatch.row for mismatch in wrong})
    details = {
        "rows": len(examples.rows),
        "mismatches": rows,
        "tolerance": examples.tolerance,
        "given": examples.given,
        "first": wrong[:NAMED],
    }
    if wrong:
        message = f"{rows} of {len(examples.rows)} examples are answered otherwise than expected."
        return Check(check="examples", status="failed", message=message, details=details)
    message = f"{len(examples.rows)} examples are answered as expected."
    return Check(check="examples", status="passed", message=message, details=details)


def check_sense(faults: str) -> Check:
    """What is said of a version whose answers make no sense; no alias is moved to it, by force neither."""
    return Check(check=SENSE, status="failed", message=f"Its answers make no sense: {faults}")


def check_environment(version: Version, on_drift: OnDrift) -> Check:
    """Whether the releases that the version was made with are those that run."""
    found = drift(version.format, version.fitted, version.environment)
    if not found:
        message = "Python, scikit-learn, numpy and scipy are those that it was made with."
        return Check(check="environment", status="passed", message=message)
    status: dict[OnDrift, Status] = {"refuse": "failed", "warn": "warning", "allow": "passed"}
    message = " ".join(str(entry) for entry in found)
    return Check(check="environment", status=status[on_drift], message=message, details={"drift": found})


def check_schema(old: Version, new: Version) -> Check:
    """Whether each request that was valid for the old version is valid for the new one."""
    broken, changed = _differences(old, new)
    details = {"broken": broken[:NAMED], "changed": changed[:NAMED]}
    if broken:
        message = f"Requests that version {old.version} takes would fail: {_list(broken)}."
        return Check(check="schema", status="failed", message=message, details=details)
    if changed:
        message = f"It differs from version {old.version}: {_list(changed)}."
        return Check(check="schema", status="warning", message=message, details=details)
    message = f"It takes and gives what version {old.version} does."
    return Check(check="schema", status="passed", message=message)


def _list(differences: list[str]) -> str:
    more = f" and {len(differences) - NAMED} more" if len(differences) > NAMED else ""
    return "; ".join(differences[:NAMED]) + more


def _differences(old: Version, new: Version) -> tuple[list[str], list[str]]:
    """What breaks requests that were valid, and what else is different."""
    before = {column.name: column for column in old.schema.inputs}
    after = {column.name: column for column in new.schema.inputs}
    broken = [f"the column '{name}' was removed" for name in before if name not in after]
    broken += [f"the column '{name}' was added" for name in after if name not in before]
    changed: list[str] = []
    if before.keys() == after.keys() and list(before) != list(after):
        broken.append("the columns stand in another order, which rows without names would not notice")
    for name in (name for name in before if name in after):
        breaks, changes = _column_differences(before[name], after[name])
        broken += breaks
        changed += changes
    for name in (name for name in old.methods if name not in new.methods):
        (broken if name in RELIED_UPON else changed).append(f"the method {name} is gone")
    changed += [f"the method {name} is new" for name in new.methods if name not in old.methods]
    if old.schema.text and not new.schema.text:
        broken.append("rows are no longer texts")
    return broken, [*changed, *_output_differences(old.schema, new.schema)]


def _column_differences(old: Column, new: Column) -> tuple[list[str], list[str]]:
    broken: list[str] = []
    changed: list[str] = []
    if old.type != new.type:
        said = f"the column '{old.name}' was {old.type} and is {new.type}"
        (changed if _widens(old.type, new.type) else broken).append(said)
    if old.nullable != new.nullable:
        said = f"the column '{old.name}' takes missing values {'no longer' if old.nullable else 'now'}"
        (broken if old.nullable else changed).append(said)
    if old.optional and not new.optional:
        broken.append(f"the column '{old.name}' is required now")
    if (old.categories, old.closed) != (new.categories, new.closed):
        said = f"the categories of the column '{old.name}' are others"
        (broken if _narrows(old, new) else changed).append(said)
    return broken, changed


def _widens(old: str, new: str) -> bool:
    """Whether every value of the old type is one of the new type."""
    return new == "any" or (old, new) == ("integer", "number")


def _narrows(old: Column, new: Column) -> bool:
    """Whether a category that was taken is not any more."""
    if not new.closed:
        return False
    known, were = (
        frozenset(column.categories) if isinstance(column.categories, tuple) else frozenset()
        for column in (new, old)
    )
    return not old.closed or not were <= known


def _output_differences(old: Schema, new: Schema) -> list[str]:
    changed = []
    if old.classes != new.classes:
        changed.append("the classes are others")
    if [output.type for output in old.outputs] != [output.type for output in new.outputs]:
        changed.append("the outputs are others")
    return changed
