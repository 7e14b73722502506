"""Which program may answer for a version in the HTTP process, and what would compute it there."""

import platform
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata

from msgspec import UNSET, Struct

from model_store.entities import ONNX, Version


class Runnable(Struct, frozen=True):
    """A stored program: a version that is one, or the one that was proven for an estimator.

    Attributes:
        methods: that it answers in the estimator's place; empty for a version that is a program.
        runtime: with which a model host has answered when it was proven.
    """

    digest: str
    size: int
    methods: tuple[str, ...] = ()
    runtime: str = ""

    def answers(self, methods: Sequence[str]) -> bool:
        """Whether it stands for the estimator in these."""
        return not self.methods or all(method in self.methods for method in methods)


def runnable(version: Version, uploaded: bool = False) -> Runnable | None:
    """The program of a version that may run here, None if it has none, or its estimator is to answer.

    Args:
        version: of a model.
        uploaded: whether programs that were uploaded may run here as well.
    """
    if version.format == ONNX:
        return Runnable(version.digest, version.size) if uploaded else None
    if version.engine != ONNX or version.program is UNSET:
        return None
    program = version.program
    return Runnable(program.digest, program.size, program.methods, program.runtime)


@cache
def runtime() -> str:
    """What computes here: the release of ONNX Runtime and the kind of machine; nothing if it is not installed."""
    try:
        return f"onnxruntime {metadata.version('onnxruntime')} {sys.platform} {platform.machine()}"
    except metadata.PackageNotFoundError:
        return ""
