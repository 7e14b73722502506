"""What the safety checks found out about an artifact: findings, and the report that they are part of."""

from typing import Literal

from msgspec import Struct

#: refused: the artifact is not taken. warning: taken, and worth knowing. normalised: changed on loading.
Severity = Literal["refused", "warning", "normalised"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that a rule found.

    Attributes:
        rule: the name of the rule.
        severity: what follows from it.
        where: the place in the model, as one would write it in Python, or in the file.
        message: for the person who uploaded it.
    """

    rule: str
    severity: Severity
    where: str
    message: str


class Report(Struct, frozen=True, kw_only=True):
    """The safety report of an artifact.

    Attributes:
        classes: every type that the artifact names, where its format names types.
        findings: what is refused, and what is worth knowing.
        normalised: what is changed each time the artifact is loaded, because a server must not do it.
        seconds: how long the check took.
        memory: bytes by which the checking process grew.
    """

    format: str
    verdict: Literal["accepted", "refused"]
    classes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    normalised: tuple[Finding, ...] = ()
    seconds: float = 0.0
    memory: int = 0


class Policy(Struct, frozen=True):
    """What the operator allows beyond what is safe for everybody.

    Attributes:
        allow_pickle: read pickle and joblib files, which run code.
        trusted: exact dotted names of types that artifacts may hold besides scikit-learn's own.
    """

    allow_pickle: bool = False
    trusted: tuple[str, ...] = ()


STRICT = Policy()
