"""What is counted and timed, in the form that Prometheus reads.

Each process of a server counts for itself, in memory. Whichever is asked adds up what all of them have counted: a
sample that has the same name and labels in several processes is one sum, or the largest of them where a sum would
say nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import Metric

CONTENT_TYPE = CONTENT_TYPE_LATEST
#: Upper ends of the buckets of times, in seconds.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TOGETHER = (1, 2, 4, 8, 16, 24)
ROWS = (1, 10, 100, 1_000, 10_000)
#: Sets of labels of one metric; what comes beyond them is counted together.
MOST_LABELS = 2_000
BEYOND = "other"
Merge = Literal["sum", "most"]


class Family(Struct, frozen=True):
    """A metric with its samples.

    Attributes:
        name, help: as Prometheus shows them.
        kind: counter, histogram or gauge.
        samples: name, labels and value of each.
        merge: what it is in all processes together.
    """

    name: str
    help: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]
    merge: Merge = "sum"


def gauge(
    name: str, help_: str, value: float, labels: dict[str, str] | None = None, merge: Merge = "sum"
) -> Family:
    """A gauge with one sample."""
    return Family(name, help_, "gauge", [(name, labels or {}, value)], merge)


class Metrics:
    """The metrics of a process.

    Attributes:
        gauges: gives what is only looked at when somebody asks.
        others: gives what the other processes of the server say (see `said`).
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter(
            "wsgi_service_requests", "Requests that were answered.", ("method", "route", "status")
        )
        self._seconds = self._histogram(
            "wsgi_service_request_seconds", "From a request's headers to its answer.", ("route",)
        )
        self._predicts = self._histogram(
            "wsgi_service_predict_seconds", "Predicts that were answered with 200.", ("model", "version", "engine")
        )
        self._program_rows = self._counter(
            "wsgi_service_program_rows",
            "Rows of versions with a proven program, by what answered them.",
            ("model", "version", "engine"),
        )
        self._differences = self._counter(
            "wsgi_service_program_differences",
            "Rows that a proven program answered otherwise than its estimator; it does not answer any more.",
            ("model", "version"),
        )
        self._together = self._histogram(
            "wsgi_service_joined_requests", "Requests that a model host answered in one call.", (), TOGETHER
        )
        self._rows = self._histogram(
            "wsgi_service_joined_rows", "Rows that a model host answered in one call.", (), ROWS
        )
        self._late = self._counter(
            "wsgi_service_late_turns", "Times that nobody looked after the connections for 250 ms.", ()
        )
        self._children: dict[tuple[str, ...], Any] = {}
        self.gauges: Callable[[], Iterable[Family]] = tuple
        self.others: Callable[[], Sequence[bytes]] = tuple

    def answered(self, method: str, route: str, status: str, seconds: float) -> None:
        """A request was answered; `route` is what the map calls its address."""
        self._child(self._requests, "requests", method, route, status).inc()
        self._child(self._seconds, "seconds", route).observe(seconds)

    def predicted(self, model: str, version: int, engine: str, seconds: float) -> None:
        """A predict was answered."""
        self._child(self._predicts, "predicts", model, str(version), engine).observe(seconds)

    def by_program(self, model: str, version: int, rows: int, left: int) -> None:
        """Rows of a version with a proven program were answered, some of them by its estimator."""
        if rows > left:
            self._child(self._program_rows, "program rows", model, str(version), "onnx").inc(rows - left)
        if left:
            self._child(self._program_rows, "program rows", model, str(version), "native").inc(left)

    def differed(self, model: str, version: int) -> None:
        """A proven program answered a row otherwise than its estimator."""
        self._child(self._differences, "differences", model, str(version)).inc()

    def joined(self, requests: int, rows: int) -> None:
        """A model host is asked for so many requests at once."""
        self._together.observe(requests)
        self._rows.observe(rows)

    def late(self) -> None:
        """Nobody has looked after the connections for too long."""
        self._late.inc()

    def said(self) -> bytes:
        """What this process has counted, for another one."""
        return msgspec.msgpack.encode(self._families())

    def exposition(self) -> bytes:
        """What all processes have counted, as Prometheus reads it."""
        families = [self._families()]
        families += [msgspec.msgpack.decode(said, type=list[Family]) for said in self.others()]
        registry = CollectorRegistry()
        registry.register(_Merged(families))
        return generate_latest(registry)

    def _families(self) -> list[Family]:
        return [_family(metric) for metric in self._registry.collect()] + list(self.gauges())

    def _child(self, metric: Any, name: str, *labels: str) -> Any:
        """The metric for these labels; Prometheus' own way to it takes longer than to count."""
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            if len(self._children) >= MOST_LABELS:
                return metric.labels(*[BEYOND] * len(labels))
            child = self._children[key] = metric.labels(*labels)
        return child

    def _counter(self, name: str, help_: str, labels: Sequence[str]) -> Counter:
        return Counter(name, help_, labels, registry=self._registry)

    def _histogram(
        self, name: str, help_: str, labels: Sequence[str], buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        return Histogram(name, help_, labels, buckets=buckets, registry=self._registry)


def _family(metric: Metric) -> Family:
    samples = [
        (sample.name, dict(sample.labels), float(sample.value))
        for sample in metric.samples
        if not sample.name.endswith("_created")  # which could not be added up
    ]
    return Family(metric.name, metric.documentation, metric.type, samples)


class _Merged:
    """Collects what several processes have counted."""

    def __init__(self, processes: Sequence[list[Family]]) -> None:
        self._processes = processes

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client's `Collector`."""
        merged: dict[str, Family] = {}
        values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
        for family in (family for families in self._processes for family in families):
            known = values.setdefault(merged.setdefault(family.name, family).name, {})
            for name, labels, value in family.samples:
                key = (name, tuple(labels.items()))
                before = known.get(key)
                known[key] = value if before is None else _together(family.merge, before, value)
        for name, family in merged.items():
            metric = Metric(name, family.help, family.kind)
            for (sample, pairs), value in values[name].items():
                metric.add_sample(sample, dict(pairs), value)
            yield metric


def _together(merge: Merge, one: float, other: float) -> float:
    return one + other if merge == "sum" else max(one, other)
