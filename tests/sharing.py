"""How processes share the suite: files that take long begin first, by the seconds that were measured.

`python3 scripts/dev.py test --keep-seconds` measures them anew, `windows --keep-seconds` those of Windows. Tests
that need model hosts or a server are marked as such here, which is what `dev.py test --quick` leaves out.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

KINDS = ("windows",) if sys.platform == "win32" else ("alone", "hosts")
SECONDS = Path(__file__).parent / "seconds.json"
#: Fixtures that start model hosts.
HOSTS = {"pool", "live_server", "start_server"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-seconds", action="store_true", help=f"write {SECONDS.name} anew")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--keep-seconds") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Clock())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    for item in items:
        if HOSTS & set(item.fixturenames) or item.get_closest_marker("live"):
            item.add_marker("hosts")
    if hasattr(config, "workerinput"):  # a person reads one process's tests in their order
        known = json.loads(SECONDS.read_text(encoding="utf-8"))
        items.sort(key=lambda item: seconds_of(known, item.nodeid.partition("::")[0]), reverse=True)


def seconds_of(known: dict[str, dict[str, float]], file: str) -> float:
    """What a file takes here."""
    return sum(known.get(file, {}).get(kind, 0.0) for kind in KINDS)


class Clock:
    """Adds up what the tests of each file take: with model hosts, alone, and on Windows."""

    def __init__(self) -> None:
        self._files: defaultdict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(KINDS, 0.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        kind = KINDS[-1] if "hosts" in report.keywords else KINDS[0]
        self._files[report.nodeid.partition("::")[0]][kind] += report.duration

    def pytest_sessionfinish(self) -> None:
        known = json.loads(SECONDS.read_text(encoding="utf-8"))
        for name, measured in self._files.items():  # what was measured elsewhere, or in another run, stays
            known[name] = known.get(name, {}) | {kind: round(measured[kind], 1) for kind in KINDS}
        lines = [
            f"{json.dumps(name)}: {json.dumps(kinds)}"
            for name, kinds in sorted(known.items())
            if (SECONDS.parent.parent / name).exists()
        ]
        SECONDS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")
