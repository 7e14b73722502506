"""Follows the tour as a stranger would: `dev.py demo`, then the lines that it prints, in bash; then once more."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORT = "18080"
SCORE = "0.9736842105263158"


def main() -> int:
    """Run the demo twice on one data folder; the second start finds the model there."""
    with tempfile.TemporaryDirectory() as folder:
        first = run_demo(folder)
        second = run_demo(folder)
    assert f"test score {SCORE}" in first, first
    assert "is there already" in second, second
    print("the demo and its printed lines work")
    return 0


def run_demo(folder: str) -> str:
    """What the demo says, after its printed lines were run and gave predictions."""
    command = [sys.executable, "scripts/dev.py", "demo", "--listen", f"127.0.0.1:{PORT}", "--data", folder]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert demo.stdout is not None
    said: list[str] = []
    try:
        for line in demo.stdout:
            said.append(line)
            if line.startswith("  curl"):
                try_line(line.strip())
            if sum(entry.startswith("  curl") for entry in said) == 3:  # noqa: PLR2004
                break
    finally:
        if sys.platform != "win32":  # this script speaks bash
            os.killpg(demo.pid, signal.SIGINT)
        demo.wait(60)
        demo.stdout.close()
    return "".join(said)


def try_line(line: str) -> None:
    """Run one printed line in bash."""
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert re.search(r'"predictions":\[', done.stdout), f"{line}\n{done.stdout}"


if __name__ == "__main__":
    raise SystemExit(main())
