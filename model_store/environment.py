"""The releases that a model was fitted and stored with, against those that run now."""

import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import Literal

from msgspec import Struct

#: Package -> how many parts of its release count: a model may change with any release of scikit-learn, and with a
#: minor one of what is below it.
COMPARED = {"python": 2, "scikit-learn": 3, "numpy": 2, "scipy": 2, "onnxruntime": 2}
#: Package -> the module that it installs, where that has another name.
MODULES = {"scikit-learn": "sklearn"}
ESTIMATORS = ("python", "scikit-learn", "numpy", "scipy")
#: Format -> the packages that its answers depend on, where those are not an estimator's.
DEPENDS_ON = {"onnx": ("onnxruntime",), "npz": ("numpy",)}
WRITTEN_OUT = {"python": "Python"}

#: What an operator wants done about drift.
OnDrift = Literal["refuse", "warn", "allow"]


class Drift(Struct, frozen=True, kw_only=True):
    """One package that is another release now than it was.

    Attributes:
        package: as it is called on PyPI, or `python`.
        recorded: the release then.
        running: the release now.
        when: `fit` where the file says what it was fitted with, otherwise `upload`.
    """

    package: str
    recorded: str
    running: str
    when: Literal["fit", "upload"]

    def __str__(self) -> str:
        name = WRITTEN_OUT.get(self.package, self.package)
        done = "Fitted" if self.when == "fit" else "Uploaded"
        return (
            f"{done} with {name} {self.recorded}, served with {self.running}: "
            "compare some predictions before you rely on it."
        )


@cache
def running() -> dict[str, str]:
    """The releases of this environment, which is the hosts' as well. Imports nothing of them."""
    return {"python": platform.python_version()} | {
        name: metadata.version(name)
        for name in COMPARED
        if name != "python" and find_spec(MODULES.get(name, name))
    }


def drift(format_: str, fitted: Mapping[str, str], uploaded: Mapping[str, str]) -> tuple[Drift, ...]:
    """What is another release now than when a model was fitted, or, where its file does not say, uploaded.

    Args:
        format_: of its file, which decides what its answers depend on.
        fitted: package -> release, as the file says.
        uploaded: package -> release, as it was when the file was uploaded.
    """
    found = []
    for package in DEPENDS_ON.get(format_, ESTIMATORS):
        recorded, now = fitted.get(package) or uploaded.get(package), running().get(package)
        if recorded and now and _begin(recorded, COMPARED[package]) != _begin(now, COMPARED[package]):
            when: Literal["fit", "upload"] = "fit" if package in fitted else "upload"
            found.append(Drift(package=package, recorded=recorded, running=now, when=when))
    return tuple(found)


def _begin(release: str, parts: int) -> list[str]:
    return release.split(".")[:parts]
