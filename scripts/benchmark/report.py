"""What was measured, as the section of docs/performance.md and its chart."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from benchmark.load import Load
from benchmark.subjects import Subject

OURS = ("wsgi-service", "wsgi-service, native", "wsgi-service, 2 processes")
FLOOR = "Waitress echo"


@dataclass
class About:
    """What a server takes besides time: seconds to the first answer, MB in memory and on disk, distributions."""

    start: float = math.nan
    memory: float = math.nan
    disk: float = math.nan
    distributions: int = 0


@dataclass
class Results:
    """Everything that one run measured.

    Attributes:
        loads: model, rows of a request and server -> what it did in each round.
        loops: model -> predicts a second of the estimator called in a loop, row by row.
        about: server -> what it takes.
        bulk: model -> rows a second of 100,000 rows as npy, through the server and by the estimator itself.
        notes: what went wrong.
    """

    loads: dict[tuple[str, int, str], list[Load]] = field(default_factory=dict)
    loops: dict[str, float] = field(default_factory=dict)
    about: dict[str, About] = field(default_factory=dict)
    bulk: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def rate(self, model: str, rows: int, server: str) -> float:
        """The median of the rounds, requests a second."""
        return _median(load.rate for load in self._good(model, rows, server))

    def half(self, model: str, rows: int, server: str) -> float:
        """The median latency, in milliseconds."""
        return _median(load.half for load in self._good(model, rows, server))

    def most(self, model: str, rows: int, server: str) -> float:
        """What 99 of 100 requests took at most, in milliseconds."""
        return _median(load.most for load in self._good(model, rows, server))

    def _good(self, model: str, rows: int, server: str) -> list[Load]:
        return [load for load in self.loads.get((model, rows, server), []) if not load.failed]

    def best_peer(self, model: str, rows: int, peers: Iterable[str]) -> tuple[str, float]:
        """The fastest of the others."""
        rates = {name: self.rate(model, rows, name) for name in peers}
        known = {name: rate for name, rate in rates.items() if not math.isnan(rate)}
        name = max(known, key=lambda one: known[one], default="none")
        return name, known.get(name, math.nan)


def _median(values: Iterable[float]) -> float:
    found = [value for value in values if not math.isnan(value)]
    return statistics.median(found) if found else math.nan


def text(results: Results, subjects: Sequence[Subject], servers: Sequence[str], where: str) -> str:
    """The section of the page."""
    peers = [name for name in servers if name not in OURS and name != FLOOR]
    parts = [
        f"{where}\n",
        "Requests a second with single rows (median of the rounds; the fastest peer is bold):\n",
        _table(
            ["server", *(subject.title for subject in subjects)],
            [[name, *_cells(results, subjects, name, peers)] for name in servers],
        ),
        "Milliseconds with single rows: half of the requests, and 99 of 100, took at most\n",
        _table(
            ["server", *(subject.title for subject in subjects)],
            [[name, *(_pair(results, s.name, name) for s in subjects)] for name in servers],
        ),
        "Rows a second with several rows in a request (JSON), of 30 columns:\n",
        _table(
            ["server", *(f"{size} rows" for size in _sizes(subjects))],
            [
                [name, *(_number(size * results.rate("wide", size, name)) for size in _sizes(subjects))]
                for name in servers
            ],
        ),
        f"What each takes, with the {subjects[0].title} (memory of all its processes, after the load):\n",
        _table(
            ["server", "start to first answer, s", "memory, MB", "environment, MB", "distributions"],
            [[name, *_taken(results.about[name])] for name in servers if name in results.about],
        ),
        _ratios(results, subjects, peers),
    ]
    if results.notes:
        parts.append("Not measured: " + "; ".join(results.notes) + ".\n")
    return "\n".join(parts)


def _sizes(subjects: Sequence[Subject]) -> tuple[int, ...]:
    return next((subject.sizes for subject in subjects if len(subject.sizes) > 1), ())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cells(results: Results, subjects: Sequence[Subject], server: str, peers: Sequence[str]) -> list[str]:
    cells = []
    for subject in subjects:
        best, _ = results.best_peer(subject.name, 1, peers)
        shown = _number(results.rate(subject.name, 1, server))
        cells.append(f"**{shown}**" if server == best else shown)
    return cells


def _pair(results: Results, model: str, server: str) -> str:
    half, most = results.half(model, 1, server), results.most(model, 1, server)
    return "–" if math.isnan(half) else f"{half:.1f} / {most:.1f}"


def _taken(about: About) -> list[str]:
    return [
        "–" if math.isnan(about.start) else f"{about.start:.1f}",
        _number(about.memory), _number(about.disk), str(about.distributions or "–"),
    ]  # fmt: skip


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.0f}"


def _ratios(results: Results, subjects: Sequence[Subject], peers: Sequence[str]) -> str:
    """Ours against the best peer, the floor, and the estimator called in a loop."""
    accelerated, native, two = OURS
    rows = []
    for subject in subjects:
        name, best = results.best_peer(subject.name, 1, peers)
        rates = {server: results.rate(subject.name, 1, server) for server in (*OURS, FLOOR)}
        rows.append([
            subject.title, name, _ratio(rates[accelerated], best), _ratio(rates[native], best),
            _ratio(rates[two], rates[accelerated]), _ratio(rates[accelerated], rates[FLOOR]),
            _ratio(rates[accelerated], results.loops.get(subject.name, math.nan)),
        ])  # fmt: skip
    head = [
        "single rows", "best peer", "ours to it", "ours, native, to it", "two processes to one",
        "ours to the Waitress echo", "ours to the estimator in a loop",
    ]  # fmt: skip
    size = max(_sizes(subjects), default=0)
    name, best = results.best_peer("wide", size, peers)
    lines = [
        "Ratios:\n",
        _table(head, rows),
        f"{size} rows x 30 columns of JSON: {_ratio(results.rate('wide', size, accelerated), best)} of {name}, "
        "the best peer.",
        *(
            f"100,000 rows as npy, {subject.title}: {_number(results.bulk[subject.name][0])} rows a second, "
            f"{_ratio(*results.bulk[subject.name])} of the estimator called on the array."
            for subject in subjects
            if subject.name in results.bulk
        ),
        "",
        _behind(results, subjects, peers),
    ]
    return "\n".join(lines)


def _behind(results: Results, subjects: Sequence[Subject], peers: Sequence[str]) -> str:
    """Where a peer is ahead."""
    found = []
    for subject in subjects:
        for size in subject.sizes:
            name, best = results.best_peer(subject.name, size, peers)
            ours = results.rate(subject.name, size, OURS[0])
            if best > ours:
                found.append(f"{name} with {subject.title}, {size} rows ({_ratio(best, ours)} of ours)")
    return f"Where a peer is ahead: {'; '.join(found)}.\n" if found else "No peer is ahead in any of these.\n"


def _ratio(one: float, other: float) -> str:
    return "–" if math.isnan(one) or math.isnan(other) or not other else f"{one / other:.2f}"


def chart(results: Results, subjects: Sequence[Subject], servers: Sequence[str]) -> str:
    """Bars for single rows, as SVG."""
    shown = [subject for subject in subjects if subject.name in ("iris", "forest", "boosting")]
    rates: Mapping[tuple[str, str], float] = {
        (subject.name, name): results.rate(subject.name, 1, name) for subject in shown for name in servers
    }
    largest = max((rate for rate in rates.values() if not math.isnan(rate)), default=1.0)
    lines, top = [], 30
    for subject in shown:
        lines.append(
            f'<text x="10" y="{top}" font-weight="bold">{escape(subject.title)}, single rows a second</text>'
        )
        top += 12
        for name in servers:
            rate = rates[subject.name, name]
            if math.isnan(rate):
                continue
            fill = "#2f6f9f" if name in OURS else "#b9b9b9" if name == FLOOR else "#d08a3c"
            width = 480 * rate / largest
            lines.append(
                f'<text x="190" y="{top + 11}" text-anchor="end">{escape(name)}</text>'
                f'<rect x="198" y="{top}" width="{width:.1f}" height="14" fill="{fill}"/>'
                f'<text x="{204 + width:.1f}" y="{top + 11}">{rate:,.0f}</text>'
            )
            top += 19
        top += 26
    style = 'font-family="sans-serif" font-size="12" fill="#333"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {top}" role="img" {style}>\n'
        "<title>Requests a second with single rows</title>\n"
        f'<rect width="760" height="{top}" fill="#fff"/>\n' + "\n".join(lines) + "\n</svg>\n"
    )
