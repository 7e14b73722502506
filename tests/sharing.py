"""How processes share the suite: files that take long begin first, by the seconds that were measured.

`python3 scripts/dev.py test --keep-seconds` measures them anew. Tests that need model hosts or a server are
marked as such here, which is what `dev.py test --quick` leaves out.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

SECONDS = Path(__file__).parent / "seconds.json"
#: Fixtures that start model hosts.
HOSTS = {"pool", "live_server", "start_server"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-seconds", action="store_true", help=f"write {SECONDS.name} anew")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--keep-seconds") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Clock(config.rootpath))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    for item in items:
        if HOSTS & set(item.fixturenames) or item.get_closest_marker("live"):
            item.add_marker("hosts")
    if hasattr(config, "workerinput"):  # a person reads one process's tests in their order
        known = json.loads(SECONDS.read_text(encoding="utf-8"))
        items.sort(key=lambda item: sum(known.get(item.nodeid.partition("::")[0], {}).values()), reverse=True)


class Clock:
    """Adds up what the tests of each file take, with model hosts and alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: defaultdict[str, dict[str, float]] = defaultdict(lambda: {"alone": 0.0, "hosts": 0.0})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        kind = "hosts" if "hosts" in report.keywords else "alone"
        self._files[report.nodeid.partition("::")[0]][kind] += report.duration

    def pytest_sessionfinish(self) -> None:
        lines = [
            f"{json.dumps(name)}: {json.dumps({kind: round(seconds, 1) for kind, seconds in kinds.items()})}"
            for name, kinds in sorted(self._files.items())
        ]
        SECONDS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")
