"""docs/registry.md, typed line by line."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "registry.md").read_text(encoding="utf-8")
#: What is to be typed, as opposed to what is printed.
TYPED = re.compile(r"^    ((?:python3|curl|wsgi-service) .*)$", re.MULTILINE)
#: Lines that the page says are refused.
REFUSED = {"aliases/live?version=3": 409, "aliases/live/rollback": 409}

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not shutil.which("bash") or not shutil.which("curl"), reason="needs bash and curl"),
    pytest.mark.skipif(sys.platform == "win32", reason="the lines are for bash"),
]


def test_every_line_does_what_the_page_says(start_server: Any, tmp_path: Path) -> None:
    server = start_server()
    environment = os.environ | {
        "WSGI_SERVICE_URL": server.url,
        "WSGI_SERVICE_DATA": str(server.folder),
        "PYTHONPATH": str(ROOT),
    }
    lines = TYPED.findall(PAGE)
    assert len(lines) > 20
    printed = []
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", _here(line, server.url)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        printed.append(done.stdout)
        if line.startswith("curl"):
            status = int(done.stdout[-3:])
            refused = next((code for part, code in REFUSED.items() if part in line), None)
            assert status == refused or (refused is None and status < 300), f"{line}\n{done.stdout}"
    _check_what_the_page_prints("\n".join(printed))


def _here(line: str, url: str) -> str:
    """A line as this test runs it: at another address, and with the status behind the answer."""
    line = line.replace("http://127.0.0.1:8080", url).replace(
        "python3 scripts/", f"{sys.executable} {ROOT}/scripts/"
    )
    line = re.sub(r"^wsgi-service", f"{sys.executable} -m wsgi_service", line)
    return re.sub(r"^curl", "curl -s -w '%{http_code}'", line)


def _check_what_the_page_prints(printed: str) -> None:
    for line in re.findall(r"^      (?:passed|warning) .*|^    flowers: .*", PAGE, re.MULTILINE):
        assert line.strip().rstrip("…").strip() in printed, line
