"""A rule of the safety gate, and the audit that applies rules in order and stops at the first refusal."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from model_store.errors import Refused, Unreadable, Unsafe
from model_store.safety import Finding, Report, Severity

#: Findings of one rule that a report lists; a hostile file may have millions.
MAX_FINDINGS = 20
MAX_WHERE = 200
#: Findings of a report in all. What refuses is always among them.
MAX_NOTED = 500
#: What a check stumbles upon in a file that nobody thought of.
UNFORESEEN = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)


class Found(NamedTuple):
    """What a rule yields: where, and what it means."""

    where: str
    message: str
    severity: Severity = "refused"


class Breach(Exception):
    """Raised by a check that cannot go on; the same as yielding one refusal.

    Args:
        where: the place in the file or the model.
        message: for the person who uploaded it.
    """

    def __init__(self, where: str, message: str) -> None:
        super().__init__(message)
        self.found = Found(where, message)


@dataclass(frozen=True)
class Rule:
    """A check with a reason.

    Attributes:
        check: yields what it finds, or raises Breach; its docstring begins with the reason.
        error: what is raised when it refuses.
        of: for rules about values: the types that it looks at.
    """

    check: Callable[..., Iterable[Found]]
    error: type[Refused] = Unsafe
    of: tuple[type, ...] = ()

    @property
    def name(self) -> str:
        """The name in reports."""
        return self.check.__name__.replace("_", "-")

    @property
    def reason(self) -> str:
        """Why there is such a rule, in one line."""
        return (self.check.__doc__ or "").partition("\n")[0]


def unreadable(check: Callable[..., Iterable[Found]]) -> Rule:
    """A rule whose refusal means that the file is damaged or of another kind, rather than hostile."""
    return Rule(check, Unreadable)


class Audit:
    """The findings about one artifact, as they come in."""

    def __init__(self) -> None:
        self.classes: tuple[str, ...] = ()
        #: The releases that the artifact says it was fitted with.
        self.fitted: dict[str, str] = {}
        self.findings: list[Finding] = []

    def apply(self, rules: Iterable[Rule], subject: Any) -> None:
        """Apply rules in their order. Raises the error of the first rule that refuses."""
        for rule in rules:
            self.note(rule, rule.check(subject))

    def note(self, rule: Rule, found: Iterable[Found]) -> None:
        """Note what a rule found. Raises the rule's error if that refuses the artifact."""
        findings = [_finding(rule, one) for one in islice(_or_breach(found), MAX_FINDINGS)]
        refusals = [finding for finding in findings if finding.severity == "refused"]
        self.findings += findings[: max(0, MAX_NOTED - len(self.findings))] or refusals[:1]
        if refusals:
            raise rule.error(_summary(refusals))

    def refuse(self, rule: str, message: str, error: type[Refused]) -> Refused:
        """The error for something that was noticed on the way, noted as the finding of a rule."""
        self.findings.append(Finding(rule=rule, severity="refused", where="", message=message))
        return error(message)

    @property
    def refused(self) -> bool:
        """Whether a refusal has been noted."""
        return any(finding.severity == "refused" for finding in self.findings)

    def report(self, format_: str, refused: bool, seconds: float, memory: int) -> Report:
        """Everything that was found."""
        return Report(
            format=format_,
            verdict="refused" if refused else "accepted",
            classes=self.classes,
            findings=tuple(finding for finding in self.findings if finding.severity != "normalised"),
            normalised=tuple(finding for finding in self.findings if finding.severity == "normalised"),
            seconds=round(seconds, 4),
            memory=memory,
        )


def printable(name: str) -> str:
    """A name as a report may show it: of what dotted names and places in a model are made of, and not too long."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._[]-/ ") else "?" for c in name[:MAX_WHERE])


def _or_breach(found: Iterable[Found]) -> Iterator[Found]:
    try:
        yield from found
    except Breach as breach:
        yield breach.found
    except UNFORESEEN:
        yield Found("", "A part of the file is not as its format makes it, so it cannot be checked.")


def _finding(rule: Rule, found: Found) -> Finding:
    return Finding(rule=rule.name, severity=found.severity, where=printable(found.where), message=found.message)


def _summary(refusals: list[Finding]) -> str:
    first = refusals[0]
    place = f" ({first.where})" if first.where else ""
    more = f" The report has {len(refusals) - 1} more." if len(refusals) > 1 else ""
    return f"{first.message}{place}{more}"
