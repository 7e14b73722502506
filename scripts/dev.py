"""The project's commands: one word each, on Windows as well, with nothing but Python to begin with.

    python3 scripts/dev.py demo        serve on http://127.0.0.1:8080 with a trained model in it
    python3 scripts/dev.py test        the test suite; with --quick only what needs no server and no model host
    python3 scripts/dev.py core        without the extras, in an environment of its own: what may differ there
    python3 scripts/dev.py windows     on Windows' own Python under wine (Debian): what depends on the system
    python3 scripts/dev.py lint        ruff: rules and layout
    python3 scripts/dev.py types       mypy, for this system and for Windows
    python3 scripts/dev.py docs        write the pages anew that are made from code
    python3 scripts/dev.py everything  all of these but the demo, with the whole suite each time

`--all` runs the whole suite, with what takes long. Further arguments go to the command:
`test tests/test_docs.py` and `test -k alias` run what is named, in one process. Otherwise there is a process for
each core, and they share the files.

Each command makes `.venv` beside this folder if it is not there and installs the project into it. Until then only
the standard library is used. pip's own settings (PIP_NO_INDEX, PIP_FIND_LINKS and so on) are respected.
"""

import argparse
import hashlib
import json
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
#: Command -> extras that it needs, and what it runs inside the environment.
COMMANDS: dict[str, tuple[tuple[str, ...], list[list[str]]]] = {
    "demo": ((), [["scripts/demo.py"]]),
    "test": (("test",), [["-m", "pytest"]]),
    "core": (("core-test",), [["-m", "pytest"]]),
    "windows": ((), [["scripts/windows.py"]]),
    "lint": (("lint",), [["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."]]),
    "types": (("lint",), [["-m", "mypy"], ["-m", "mypy", "--platform", "win32"]]),
    "docs": (("test",), [["scripts/write_docs.py"]]),
}
#: The pages are written last, since the tests hold those that are there against the code.
EVERYTHING = (["lint"], ["types"], ["test", "--all"], ["core", "--all"], ["windows", "--all"], ["docs"])
#: Commands that run the suite -> which of its marks, unless they are told --all or which tests.
SUITES = {"test": "not long", "core": "extras and not long", "windows": "system and not long"}
QUICK = "not hosts and not long"


def main() -> int:
    """Run one command; further arguments go to it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=[*COMMANDS, "everything"])
    chosen, rest = parser.parse_known_args()
    if sys.version_info < OLDEST:
        print(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; this is {sys.version.split()[0]}.")
        return 1
    if chosen.command != "everything":
        return perform(chosen.command, rest)
    if rest:
        parser.error("everything takes no further arguments")
    failed = [" ".join(line) for line in EVERYTHING if perform(line[0], line[1:])]
    print(f"Failed: {', '.join(failed)}." if failed else "Everything passed.")
    return 1 if failed else 0


def perform(command: str, arguments: list[str]) -> int:
    """Run the lines of a command in its environment, until one fails; the arguments go to the last."""
    extras, lines = COMMANDS[command]
    python = prepare(APART.get(command, ENVIRONMENT), extras)
    if command in SUITES:
        arguments = share(command, arguments)
    for line in lines[:-1]:
        if code := run([str(python), *line]):
            return code
    return run([str(python), *lines[-1], *arguments])


def share(command: str, arguments: list[str]) -> list[str]:
    """What pytest is told: the tests that are named, or a part of the suite in a process for each core."""
    rest = [argument for argument in arguments if argument not in ("--all", "--quick")]
    if any(argument.startswith("-k") or (ROOT / argument.partition("::")[0]).exists() for argument in rest):
        return rest
    marks = QUICK if "--quick" in arguments else "" if "--all" in arguments else SUITES[command]
    processes = os.cpu_count() or 1
    if command == "test":
        say_how_long(marks, processes)
    chosen = ["-m", marks] if marks else []
    if command == "windows":  # which shares the files out itself
        return [*chosen, *rest]
    return [*chosen, "-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder", *rest]


def say_how_long(marks: str, processes: int) -> None:
    """Print about how long the suite takes, from the seconds that were measured for each of its files."""
    files = json.loads((ROOT / "tests" / "seconds.json").read_text(encoding="utf-8")).values()
    kinds = ("alone",) if marks == QUICK else ("alone", "hosts")
    seconds = sum(file.get(kind, 0.0) for file in files for kind in kinds) / processes
    print(f"This takes about {max(1, round(seconds / 60))} minutes on {processes} cores.", flush=True)


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
