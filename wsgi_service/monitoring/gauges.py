"""What is looked at when somebody asks for the metrics: hosts, what waits for them, memory, and the registry."""

import logging
from collections.abc import Iterable

from model_store.errors import StoreError
from model_store.footprint import resident
from model_store.registry import Registry
from wsgi_service.hosts.pool import HostPool
from wsgi_service.monitoring.metrics import Family, gauge
from wsgi_service.serving.predictor import Predictor

log = logging.getLogger(__name__)


class Gauges:
    """How a process is at the moment.

    Args:
        pool: the hosts.
        predictor: knows what waits.
        registry: of what is counted.
    """

    def __init__(self, pool: HostPool, predictor: Predictor, registry: Registry) -> None:
        self._pool = pool
        self._predictor = predictor
        self._registry = registry

    def __call__(self) -> Iterable[Family]:
        """The metrics that are gauges, and those that others count."""
        return [*self._of_hosts(), *self._of_memory(), *self._of_the_registry()]

    def _of_hosts(self) -> Iterable[Family]:
        figures = self._pool.figures()
        yield gauge(
            "wsgi_service_waiting_requests",
            "Predicts that wait for a model host.",
            figures.waiting + self._predictor.waiting,
        )
        yield Family(
            "wsgi_service_hosts",
            "Model hosts that serve, by whether they have something to do.",
            "gauge",
            [
                ("wsgi_service_hosts", {"state": "busy"}, figures.serving - figures.idle),
                ("wsgi_service_hosts", {"state": "idle"}, figures.idle),
            ],
        )
        yield Family(
            "wsgi_service_hosts_ended",
            "Model hosts that crashed, or were ended for what they did; each is replaced.",
            "counter",
            [("wsgi_service_hosts_ended_total", {}, figures.ended)],
        )
        yield gauge(
            "wsgi_service_slow_programs",
            "Programs that held up the server process, and run in model hosts.",
            self._predictor.slow_programs,
        )
        yield gauge("wsgi_service_loaded_models", "Models that are loaded, counted in each host.", figures.models)
        yield gauge("wsgi_service_loaded_bytes", "Memory of loaded models, as measured.", figures.model_bytes)

    def _of_memory(self) -> Iterable[Family]:
        name, about = "wsgi_service_resident_bytes", "Memory of processes."
        samples = [
            (name, {"process": "server"}, float(resident())),
            (name, {"process": "hosts"}, float(self._pool.memory())),
        ]
        yield Family(name, about, "gauge", samples)

    def _of_the_registry(self) -> Iterable[Family]:
        """Every process sees the same registry, so nothing is added up."""
        registry = self._registry
        try:
            counts = {
                "models": ("Models in the registry.", registry.count_models()),
                "versions": ("Versions in the registry.", registry.count_versions()),
                "quarantined_versions": ("Versions in quarantine.", registry.count_versions("quarantined")),
                "corrupt_versions": ("Versions whose bytes are damaged.", registry.count_versions("corrupt")),
            }
        except StoreError as error:
            log.warning("the registry was left out of the metrics: %s", error)
            return []
        return [
            gauge(f"wsgi_service_{name}", about, value, merge="most") for name, (about, value) in counts.items()
        ]
