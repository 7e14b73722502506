"""Measures this server against others on this machine, and writes the tables and the chart of docs/performance.md.

Each server gets an environment of its own with what it needs, the same models and the same rows. For each model
all servers are started, and then asked in turns, one at a time, so that they share whatever else the machine does.

    .venv/bin/python scripts/bench.py --write        everything; about twenty minutes
    .venv/bin/python scripts/bench.py --smoke        seconds, without the others: that it works, not how fast
"""

import argparse
import functools
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from benchmark import load, report
from benchmark.servers import ACCELERATED, FLOOR, NATIVE, PEERS, TWO, Question, Running, Server
from benchmark.subjects import SUBJECTS, Subject

from wsgi_service.client import Client

ROOT = Path(__file__).resolve().parent.parent
PAGE, CHART = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"
BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->\n"
CONNECTIONS = 16
FIRST_PORT = 18200
SMOKE = ["wide"]
BULK, BULKY = 100_000, ("forest", "wide")
#: Seconds before a single call is timed: the threads of linear algebra spin for a while after the one before.
IDLE = 0.3


def main() -> int:
    """Measure what was asked for."""
    chosen = _arguments()
    servers = [FLOOR, ACCELERATED, NATIVE, TWO, *(peer for peer in PEERS if not chosen.smoke)]
    subjects = [subject for subject in SUBJECTS if subject.name in chosen.models]
    chosen.work.mkdir(parents=True, exist_ok=True)
    results = report.Results()
    here = Path(sys.executable).parent if chosen.smoke else None
    programs = {server.name: here or _environment(server, chosen.work, results) for server in servers}
    for subject in subjects:
        _measure(subject, servers, programs, chosen, results)
    names = [server.name for server in servers]
    where = _where(chosen)
    print(report.text(results, subjects, names, where))
    if chosen.write:
        _write(report.text(results, subjects, names, where), report.chart(results, subjects, names))
    failed = [load for loads in results.loads.values() for load in loads if load.failed]
    return 1 if chosen.smoke and (failed or results.notes) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench", help="where environments are made")
    parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of all servers")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and its chart")
    parser.add_argument("--models", nargs="+", choices=[subject.name for subject in SUBJECTS], help="only these")
    parser.add_argument("--smoke", action="store_true", help="only ours, and briefly")
    chosen = parser.parse_args()
    if chosen.smoke:
        chosen.seconds, chosen.rounds = 0.2, 1
    every = [subject.name for subject in SUBJECTS]
    wanted = chosen.models or (SMOKE if chosen.smoke else every)
    chosen.models = [name for name in every if name in wanted]
    chosen.work = chosen.work.absolute()
    return chosen


def _environment(server: Server, work: Path, results: report.Results) -> Path | None:
    """The programs of a server; None if it cannot be installed here."""
    about = results.about[server.name] = report.About()
    try:
        folder, programs = _made(work, server.packages)
    except subprocess.CalledProcessError as error:
        results.notes.append(f"{server.name} ({error})")
        return None
    line = [str(programs / "python"), "-m", "pip", "list", "--format=freeze"]
    listed = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()
    about.distributions = sum(not one.startswith(("pip==", "setuptools==")) for one in listed)
    about.disk = sum(path.stat().st_size for path in folder.rglob("*.*") if path.is_file()) / 2**20
    return programs


@functools.cache
def _made(work: Path, packages: tuple[str, ...]) -> tuple[Path, Path]:
    """An environment with these packages, and its folder of programs."""
    folder = work / Path(packages[-1].partition("[")[0]).name
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    if not (folder / "complete").exists():
        _say(f"installing {' '.join(packages)}")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pinned = f"scikit-learn=={metadata.version('scikit-learn')}"
        line = [str(programs / "python"), "-m", "pip", "install", "-q", pinned, "joblib", *packages]
        subprocess.run(line, check=True)
        (folder / "complete").touch()
    return folder, programs


def _measure(
    subject: Subject,
    servers: Sequence[Server],
    programs: dict[str, Path | None],
    chosen: Any,
    results: report.Results,
) -> None:
    """All servers with one model, in turns."""
    estimator = subject.fit()
    model = chosen.work / f"{subject.name}.joblib"
    joblib.dump(estimator, model)
    results.loops[subject.name] = _loop(estimator, subject.rows(1), chosen.seconds / 2)
    with _started(subject, servers, programs, chosen, results, estimator, model) as running:
        for round_ in range(chosen.rounds):
            for size in subject.sizes:
                rows = subject.rows(size)
                for one in running:
                    _say(f"{subject.title}, {size} rows, round {round_ + 1}: {one.server.name}")
                    measured = load.run(one.port, one.server.ask(rows), CONNECTIONS, chosen.seconds)
                    results.loads.setdefault((subject.name, size, one.server.name), []).append(measured)
        if subject.name == chosen.models[0]:
            for one in running:
                results.about[one.server.name].memory = one.resident()
        if subject.name in BULKY:
            ours = next(one for one in running if one.server is ACCELERATED)
            results.bulk[subject.name] = _bulk(estimator, ours, subject)


@contextmanager
def _started(
    subject: Subject, servers: Sequence[Server], programs: dict[str, Path | None], chosen: Any,
    results: report.Results, estimator: Any, model: Path,
) -> Iterator[list[Running]]:  # fmt: skip
    """The servers that serve this model and answer it right."""
    running: list[Running] = []
    try:
        for place, server in enumerate(servers):
            found = programs[server.name]
            if found is None:
                continue
            _say(f"{subject.title}: starting {server.name}")
            folder = chosen.work / "run" / f"{os.getpid()}-{subject.name}-{place}"
            try:
                one = Running(server, found, model, FIRST_PORT + place, folder)
                running.append(one)
                seconds = _first_answer(one, estimator, subject)
                if subject.name == chosen.models[0]:
                    results.about.setdefault(server.name, report.About()).start = seconds
            except (RuntimeError, OSError, AssertionError, subprocess.CalledProcessError) as error:
                results.notes.append(f"{server.name} with {subject.title} ({str(error)[:300]!r})")
                if running and running[-1].server is server:
                    running.pop().stop()
        yield running
    finally:
        for one in running:
            one.stop()


def _first_answer(one: Running, estimator: Any, subject: Subject) -> float:
    """Seconds from the start to a right answer. Raises AssertionError for a wrong one."""
    one.wait()
    rows = subject.rows(3)
    question = one.server.ask(rows)
    if one.server in (ACCELERATED, NATIVE, TWO):
        seconds = time.perf_counter() - one.began
        with Client(f"http://127.0.0.1:{one.port}", patience=60) as client:
            client.push(estimator, "m")
        _ask_twice(one, question)
        return seconds
    answer = one.ask(question)
    seconds = time.perf_counter() - one.began
    if one.server is not FLOOR:
        expected = estimator.predict(rows if isinstance(rows[0], str) else np.array(rows)).tolist()
        assert _predictions(answer) == expected, f"it answered {str(answer)[:100]}"
    return seconds


def _ask_twice(one: Running, question: Question) -> None:
    for _ in range(20):  # so that each process has been asked
        one.ask(question)


def _predictions(answer: Any) -> Any:
    if isinstance(answer, dict) and "outputs" in answer:
        return answer["outputs"][0]["data"]
    return answer["predictions"]


def _loop(estimator: Any, rows: list[Any], seconds: float) -> float:
    """Predicts a second of the estimator, called with one row again and again."""
    given = rows if isinstance(rows[0], str) else np.array(rows)
    count, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        estimator.predict(given)
        count += 1
    return count / seconds


def _bulk(estimator: Any, one: Running, subject: Subject) -> tuple[float, float]:
    """Rows a second of a large array, through the server and by the estimator; the fastest of five in turns."""
    rows = np.array(subject.rows(1000))[np.random.default_rng(0).integers(1000, size=BULK)]
    with Client(f"http://127.0.0.1:{one.port}") as client:
        pairs = [
            (_timed(lambda: client.predict("m", rows)), _timed(lambda: estimator.predict(rows))) for _ in range(5)
        ]
    return BULK / min(ours for ours, _ in pairs), BULK / min(other for _, other in pairs)


def _timed(call: Any) -> float:
    time.sleep(IDLE)
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _where(chosen: argparse.Namespace) -> str:
    packages = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("scikit-learn", "onnxruntime", "waitress")
    )
    return (
        f"`.venv/bin/python scripts/bench.py --write` on {os.cpu_count()} cores of a shared {platform.machine()} "
        f"machine ({platform.system()}, Python {platform.python_version()}, {packages}), the load generator on "
        f"the same machine: {chosen.rounds} interleaved rounds of {chosen.seconds:g} s for each server, "
        f"{CONNECTIONS} connections, one process for each server unless it says otherwise."
    )


def _write(section: str, chart: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{section}\n{END}{after}", encoding="utf-8", newline="\n")
    CHART.write_text(chart, encoding="utf-8", newline="\n")


def _say(words: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{words}")
        sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
