"""What is installed: the version, the command, the packages and no more than they need."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import wsgi_service

pytestmark = [pytest.mark.system, pytest.mark.extras]

ROOT = Path(__file__).resolve().parent.parent
CORE = {
    "click", "jinja2", "msgspec", "numpy", "prometheus-client", "scikit-learn", "skops", "sqlalchemy", "waitress",
    "werkzeug",
}  # fmt: skip


def test_the_core_needs_ten_packages_and_no_more() -> None:
    section = (ROOT / "setup.cfg").read_text(encoding="utf-8").split("install_requires =")[1].split("\n\n")[0]
    assert {re.split(r"[<>=]", line.strip())[0].lower() for line in section.strip().splitlines()} == CORE


def test_everything_that_is_installed_for_it_is_twenty_distributions_at_most() -> None:
    """Followed from what the packages themselves require, without their extras."""
    found: set[str] = set()
    waiting = set(CORE)
    while waiting:
        name = waiting.pop()
        found.add(name)
        for line in metadata.requires(name) or []:
            required = re.split(r"[ ;<>=!~\[(]", line)[0].lower().replace("_", "-")
            if "extra" not in line and applies(line) and required not in found:
                waiting.add(required)
    assert len(found - {"wsgi-service"}) <= 20, sorted(found)


def applies(line: str) -> bool:
    from packaging.requirements import Requirement

    marker = Requirement(line).marker
    return marker is None or marker.evaluate({"extra": ""})


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "wsgi_service", "--version"]
    done = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    assert done.stdout.decode().strip() == f"wsgi-service, version {wsgi_service.__version__}"


def test_the_procfile_has_no_variable_for_a_shell_to_expand() -> None:
    assert (ROOT / "Procfile").read_text(encoding="utf-8").strip() == "web: wsgi-service serve"


def test_pyproject_only_says_who_builds() -> None:
    assert "[project]" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
