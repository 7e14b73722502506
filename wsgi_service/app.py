"""The composition root: the only place that picks concrete classes and joins them."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING

from msgspec import UNSET

from model_store.catalog import Catalog
from model_store.entities import NATIVE
from model_store.inspection import Inspector
from model_store.opening import open_catalog
from model_store.proof.alias_moves import Switchboard
from model_store.proof.rehearsal import Rehearsal
from wsgi_service import routes
from wsgi_service.access.admission import Exposure
from wsgi_service.access.keyring import Keyring
from wsgi_service.access.sessions import KEY, Sessions
from wsgi_service.dispatch import Dispatcher, Slots
from wsgi_service.hosts.drawings import Drawings
from wsgi_service.hosts.isolation import starter
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.starting import Starter
from wsgi_service.hosts.unpacking import Unpacking
from wsgi_service.monitoring.gauges import Gauges
from wsgi_service.monitoring.metrics import Metrics
from wsgi_service.monitoring.middleware import Traced
from wsgi_service.monitoring.prediction_log import PredictionLog
from wsgi_service.monitoring.tracing import traced
from wsgi_service.pages.evidence import Evidences
from wsgi_service.processes.background import Background
from wsgi_service.processes.privacy import tighten
from wsgi_service.resources.aliases import Aliases
from wsgi_service.resources.comparisons import Comparisons
from wsgi_service.resources.models import Models
from wsgi_service.resources.monitoring import Monitoring
from wsgi_service.resources.page_actions import PageActions
from wsgi_service.resources.pages import Pages
from wsgi_service.resources.predictions import Predictions
from wsgi_service.resources.reference import Reference
from wsgi_service.resources.system import System
from wsgi_service.resources.versions import Versions
from wsgi_service.rows.answer import Answer
from wsgi_service.rows.tables import Table
from wsgi_service.serving.accelerator import Accelerator, available
from wsgi_service.serving.directory import Directory
from wsgi_service.serving.inspector import HostInspector
from wsgi_service.serving.predictor import Predictor
from wsgi_service.serving.rehearsal import HostRehearsal
from wsgi_service.serving.revision import Revision
from wsgi_service.serving.uploads import Uploads
from wsgi_service.serving.warming import Warming
from wsgi_service.settings import RESERVED_THREADS, Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.routing import Map


@dataclass(frozen=True)
class Parts:
    """What the application and several of its resources are made of."""

    catalog: Catalog
    revision: Revision
    hosts: HostPool
    metrics: Metrics
    draining: threading.Event
    exposure: Exposure
    predictions: PredictionLog


class Application:
    """The whole service as a WSGI application, with what a server has to start and stop.

    Attributes:
        wsgi_app: what is called for a request; middleware can wrap it while the application stays reachable.
        slots: for heavy work; the server refuses what would get none before it wakes a thread for that.
        exposure, url_map, settings: what the server's parser asks before it takes a body.
        draining: set when the server is being stopped.
        metrics: what is counted.
    """

    def __init__(self, settings: Settings, parts: Parts, url_map: "Map", background: Background) -> None:
        self.settings = settings
        self.metrics = parts.metrics
        self.catalog = parts.catalog
        self.pool = parts.hosts
        self.url_map = url_map
        self.exposure = parts.exposure
        self.background = background
        self.draining = parts.draining
        self.slots = Slots(settings.request_threads)
        self._predictions = parts.predictions
        inner: WSGIApplication = Dispatcher(url_map, self.exposure, settings, self.slots)
        self._spans = traced(inner) if settings.opentelemetry else None
        self.wsgi_app: WSGIApplication = Traced(self._spans or inner, self.metrics)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """The WSGI interface (PEP 3333)."""
        return self.wsgi_app(environ, start_response)

    def start(self) -> None:
        """Start the model hosts, load what is live, and sweep what was left behind, in the background."""
        self.pool.start()
        self.background.start()

    def close(self) -> None:
        """End the model hosts, and write what is left of the prediction log and of traces."""
        self.pool.close()
        self._predictions.close()
        if self._spans is not None:
            self._spans.close()


def create_app(
    settings: Settings,
    pool: HostPool | None = None,
    inspector: Inspector | None = None,
    rehearsal: Rehearsal | None = None,
    first: bool = True,
    starts: Starter | None = None,
) -> Application:
    """The service for these settings, not yet started.

    Args:
        settings: how it runs.
        pool: hosts to use instead of its own; whoever gives them starts and closes them.
        inspector: judges uploads instead of the hosts.
        rehearsal: rehearses versions instead of the hosts.
        first: whether this process does what needs to be done once for all processes of a server.
        starts: what hosts are started with, if that is there already.
    """
    # Of the slots for heavy work a few are left to other versions, however many wait for one.
    most_waiting = max(1, settings.request_threads - 2 * RESERVED_THREADS)
    hosts = pool or HostPool(
        settings.serving_hosts,
        settings.startup_limit,
        most_waiting,
        settings.model_bytes,
        starts or starter(settings.isolation),
    )
    judge = inspector or HostInspector(hosts, settings.inspect_deadline, settings.policy)
    catalog = open_catalog(settings.folder, judge, settings.on_drift)
    if first:
        tighten(settings.folder)
    draining = threading.Event()
    revision = Revision(catalog.registry)
    keyring = Keyring(catalog.registry, revision)
    remembered = Sessions(settings.folder / KEY)
    exposure = Exposure(settings, keyring, remembered)
    metrics = Metrics()
    parts = Parts(catalog, revision, hosts, metrics, draining, exposure, PredictionLog(settings))
    resources = _resources(settings, parts, rehearsal, first)
    resources.reference = Reference(catalog.registry, lambda: url_map, exposure.secured)
    url_map = routes.build(resources)
    sweeps = [catalog.sweep, parts.predictions.sweep, remembered.sweep] if first else []
    background = Background(resources.warming, revision, sweeps, draining, resources.predictor.rest)
    return Application(settings, parts, url_map, background)


def _resources(settings: Settings, parts: Parts, rehearsal: Rehearsal | None, first: bool) -> SimpleNamespace:
    catalog, hosts, metrics, draining = parts.catalog, parts.hosts, parts.metrics, parts.draining.is_set
    registry = catalog.registry
    predictor = Predictor(
        hosts,
        catalog.artifacts,
        registry,
        settings.predict_deadline,
        settings.policy,
        counts=metrics,
        uploaded=settings.programs_in_process == "all",
    )
    metrics.gauges = Gauges(hosts, predictor, registry)
    accelerator = None
    if settings.acceleration == "on" and available():
        accelerator = Accelerator(
            hosts, catalog.artifacts, registry, predictor, settings.acceleration_wait, settings.policy, draining
        )
    uploads = Uploads(catalog, accelerator)
    rehearse = rehearsal or HostRehearsal(predictor)
    switchboard = Switchboard(registry, rehearse, settings.on_drift)
    directory = Directory(registry, parts.revision)
    unpacking = Unpacking(hosts, settings.predict_deadline)
    catch_up = accelerator.catch_up if accelerator and first else None
    warming = Warming(registry, predictor.prepare, predictor.load, draining, catch_up)
    system = System(registry, catalog.artifacts, hosts, lambda: warming.done, draining)
    pages = Pages(
        catalog,
        predictor,
        unpacking,
        settings.row_limit,
        Evidences(registry, rehearse, Drawings(hosts)),
        system.index,
    )
    return SimpleNamespace(
        models=Models(catalog),
        versions=Versions(catalog, rehearse, uploads),
        aliases=Aliases(registry, switchboard, settings.require_preconditions),
        predictions=Predictions(
            directory,
            predictor,
            registry.examples,
            unpacking,
            settings.row_limit,
            catalog.artifacts.incoming,
            partial(_note, metrics, parts.predictions),
        ),
        monitoring=Monitoring(metrics),
        comparisons=Comparisons(directory, predictor, settings.row_limit),
        system=system,
        warming=warming,
        predictor=predictor,
        pages=pages,
        page_actions=PageActions(catalog, uploads, switchboard, pages, parts.exposure),
    )


def _note(
    metrics: Metrics, kept: PredictionLog, answered: Answer, rows: Table | None, seconds: float, trace: str
) -> None:
    """Count an answer, and keep it if it is one of those that are kept."""
    version = answered.version
    metrics.predicted(version.model, version.version, answered.engine, seconds)
    if (
        version.program is not UNSET
        and rows is not None
        and (answered.engine != NATIVE or answered.estimator_rows)
    ):
        metrics.by_program(version.model, version.version, rows.rows, answered.estimator_rows)
    kept.note(answered, rows, trace or None)
