"""The project's commands: one word each, on Windows as well, with nothing but Python to begin with.

    python3 scripts/dev.py demo     serve on http://127.0.0.1:8080 with a trained model in it
    python3 scripts/dev.py test     the test suite
    python3 scripts/dev.py core     the test suite without the extras, in an environment of its own
    python3 scripts/dev.py lint     ruff: rules and layout
    python3 scripts/dev.py types    mypy, for this system and for Windows
    python3 scripts/dev.py docs     write the pages anew that are made from code
    python3 scripts/dev.py windows  the test suite on Windows' own Python under wine (Debian)

Each makes `.venv` beside this folder if it is not there and installs the project into it. Until then only the
standard library is used. pip's own settings (PIP_NO_INDEX, PIP_FIND_LINKS and so on) are respected.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
#: Commands that must not find what others have installed.
APART = {"core": ROOT / ".venv-core"}
OLDEST = (3, 11)
#: Long tests that have no more to say where the extras are missing.
APART_FROM_EXTRAS = tuple(
    f"--ignore=tests/{name}.py"
    for name in (
        "test_fuzz",
        "test_registry_walk",
        "test_trials",
        "model_store/test_estimators",
        "wsgi_service/test_audit",
        "wsgi_service/test_hosts",
        "wsgi_service/test_limits",
    )
)
#: Command -> extras that it needs, and what it runs inside the environment.
COMMANDS: dict[str, tuple[tuple[str, ...], list[list[str]]]] = {
    "demo": ((), [["scripts/demo.py"]]),
    "test": (("test",), [["-m", "pytest"]]),
    "core": (("core-test",), [["-m", "pytest", *APART_FROM_EXTRAS]]),
    "lint": (("lint",), [["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."]]),
    "types": (("lint",), [["-m", "mypy"], ["-m", "mypy", "--platform", "win32"]]),
    "docs": (("test",), [["scripts/write_docs.py"]]),
    "windows": ((), [["scripts/windows.py"]]),
}


def main() -> int:
    """Run one command; further arguments go to it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=COMMANDS)
    chosen, rest = parser.parse_known_args()
    if sys.version_info < OLDEST:
        print(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; this is {sys.version.split()[0]}.")
        return 1
    extras, lines = COMMANDS[chosen.command]
    python = prepare(APART.get(chosen.command, ENVIRONMENT), extras)
    for index, line in enumerate(lines):
        last = index == len(lines) - 1
        if code := run([str(python), *line, *(rest if last else [])]):
            return code
    return 0


def prepare(folder: Path, extras: tuple[str, ...]) -> Path:
    """The Python of an environment, with the project and these extras installed."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        make_environment(folder)
    stamp = folder / f"installed-{'-'.join(extras) or 'core'}"
    wanted = hashlib.sha256((ROOT / "setup.cfg").read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        install(python, extras)
        stamp.write_text(wanted, encoding="utf-8")
    return python


def make_environment(folder: Path) -> None:
    """Make an environment, or say what the system lacks for it."""
    print(f"Making {folder.name} ...", flush=True)
    try:
        venv.create(folder, with_pip=True)
    except (subprocess.CalledProcessError, ImportError):
        raise SystemExit(
            "This Python cannot make virtual environments. On Debian and Ubuntu: "
            f"sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        ) from None


def install(python: Path, extras: tuple[str, ...]) -> None:
    """Install the project in place, with extras."""
    what = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    print("Installing the project ...", flush=True)
    pip = [
        str(python),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "-e",
        what,
    ]
    if run(pip):
        raise SystemExit("The installation failed; pip's message above says why.")


def run(line: list[str]) -> int:
    """Run a command in the project's folder; Ctrl-C is the command's to answer."""
    process = subprocess.Popen(line, cwd=ROOT)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    raise SystemExit(main())
