"""Every URL on one screen."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter, Map, Rule

from model_store.entities import MAX_VERSION, NAME_PATTERN
from wsgi_service.settings import MEGABYTE, Settings

CONVERTED = re.compile(r"<[a-z]+:([a-z]+)>")


class Scope(Enum):
    """What a route does, which decides what token it needs; see `model_store.tokens`."""

    OPEN = "open"
    READ = "read"
    PREDICT = "predict"
    WRITE = "write"
    ADMIN = "admin"


class Work(Enum):
    """How much a route asks of the server: its body limit, and which of the counted slots it takes.

    What is urgent waits for a model host as well, but must not be kept out by predicts.
    """

    LIGHT = "light"
    PREDICT = "predict"
    URGENT = "urgent"
    UPLOAD = "upload"


@dataclass(frozen=True)
class Route:
    """What a rule leads to: a bound method of a resource, how it is guarded, and what it is called in metrics."""

    call: Callable[..., Any]
    scope: Scope
    work: Work = Work.LIGHT
    path: str = ""

    def body_limit(self, settings: Settings) -> int:
        """The largest body in bytes."""
        if self.work is Work.PREDICT:
            return settings.predict_limit * MEGABYTE
        return (settings.upload_limit if self.work is Work.UPLOAD else 1) * MEGABYTE


class NameConverter(BaseConverter):
    """A model's or alias's name; anything else is not an address."""

    regex = NAME_PATTERN.replace("([", "(?:[")


class VersionConverter(BaseConverter):
    """A version number without leading zeros, up to 2**31 - 1."""

    regex = "[1-9][0-9]{0,9}"

    def to_python(self, value: str) -> int:
        """See `BaseConverter`."""
        if int(value) > MAX_VERSION:
            raise NotFound  # a ValidationError would have Werkzeug look for other methods here
        return int(value)


class FileConverter(BaseConverter):
    """The name of one of our own files."""

    regex = "[a-z0-9][a-z0-9.-]{0,63}"


def rule(path: str, method: str, call: Callable[..., Any], scope: Scope, work: Work = Work.LIGHT) -> Rule:
    """One path and method. Werkzeug adds HEAD to GET, and answers 405 with Allow by itself."""
    return Rule(path, methods=[method], endpoint=Route(call, scope, work, CONVERTED.sub(r"{\1}", path)))


def build(resources: Any) -> Map:
    """The map of all URLs, with the methods of `resources` as endpoints."""
    models, versions, aliases = resources.models, resources.versions, resources.aliases
    predictions, system, reference = resources.predictions, resources.system, resources.reference
    pages, actions = resources.pages, resources.page_actions
    model = "/models/<name:model>"
    version, alias = f"{model}/versions/<version:number>", f"{model}/aliases/<name:alias>"
    url_map = Map(
        [
            rule("/", "GET", pages.front, Scope.OPEN),
            rule("/healthz", "GET", system.live, Scope.OPEN),
            rule("/readyz", "GET", system.ready, Scope.OPEN),
            rule("/metrics", "GET", resources.monitoring.metrics, Scope.READ),
            rule("/models", "GET", models.list, Scope.READ),
            rule("/models", "POST", models.create, Scope.WRITE),
            rule(model, "GET", models.read, Scope.READ),
            rule(model, "PUT", models.update, Scope.WRITE),
            rule(model, "DELETE", models.delete, Scope.ADMIN),
            rule(f"{model}/compare", "POST", resources.comparisons.compare, Scope.PREDICT, Work.PREDICT),
            rule(f"{model}/history", "GET", models.history, Scope.READ),
            rule(f"{model}/versions", "GET", versions.list, Scope.READ),
            rule(f"{model}/versions", "POST", versions.publish, Scope.WRITE, Work.UPLOAD),
            rule(version, "GET", versions.read, Scope.READ),
            rule(version, "PUT", versions.put, Scope.WRITE, Work.UPLOAD),
            rule(version, "DELETE", versions.delete, Scope.ADMIN),
            rule(f"{version}/artifact", "GET", versions.artifact, Scope.READ),
            rule(f"{version}/safety", "GET", versions.safety, Scope.READ),
            rule(f"{version}/acceleration", "GET", versions.acceleration, Scope.READ),
            rule(f"{version}/acceleration", "POST", versions.accelerate, Scope.WRITE, Work.UPLOAD),
            rule(f"{version}/checks", "GET", versions.checks, Scope.READ),
            rule(f"{version}/examples", "GET", versions.read_examples, Scope.READ),
            rule(f"{version}/examples", "PUT", versions.put_examples, Scope.WRITE, Work.PREDICT),
            rule(f"{version}/quarantine", "DELETE", versions.lift_quarantine, Scope.ADMIN),
            rule(f"{model}/aliases", "GET", aliases.list, Scope.READ),
            rule(alias, "GET", aliases.read, Scope.READ),
            rule(alias, "PUT", aliases.put, Scope.WRITE, Work.PREDICT),
            rule(alias, "DELETE", aliases.delete, Scope.WRITE),
            rule(f"{alias}/rollback", "POST", aliases.roll_back, Scope.WRITE, Work.URGENT),
            *(
                rule(path, method, call, Scope.PREDICT, Work.PREDICT)
                for path, by_body, by_link in (
                    ("/predict", predictions.predict, predictions.follow),
                    (f"{model}/predict", predictions.predict_at, predictions.follow_at),
                    (f"{version}/predict", predictions.predict_at, predictions.follow_at),
                    (f"{alias}/predict", predictions.predict_at, predictions.follow_at),
                )
                for method, call in (("POST", by_body), ("GET", by_link))
            ),
            rule("/openapi.json", "GET", reference.server, Scope.READ),
            rule(f"{version}/openapi.json", "GET", reference.version, Scope.READ),
            rule("/docs", "GET", reference.show, Scope.OPEN),
            rule("/docs/<file:file>", "GET", reference.file, Scope.OPEN),
            rule(f"{version}/docs", "GET", reference.show_version, Scope.READ),
            rule("/ui", "GET", pages.models, Scope.READ),
            rule("/ui/static/<file:file>", "GET", pages.file, Scope.OPEN),
            rule("/ui/login", "GET", actions.ask_for_token, Scope.OPEN),
            rule("/ui/login", "POST", actions.log_in, Scope.OPEN),
            rule("/ui/logout", "POST", actions.log_out, Scope.OPEN),
            rule("/ui/models", "POST", actions.upload, Scope.WRITE, Work.UPLOAD),
            rule(f"/ui{model}", "GET", pages.model, Scope.READ),
            rule(f"/ui{version}", "GET", pages.version, Scope.READ),
            rule(f"/ui{version}/predict", "POST", pages.predict, Scope.PREDICT, Work.PREDICT),
            rule(f"/ui{version}/table", "POST", pages.table, Scope.PREDICT, Work.PREDICT),
            rule(f"/ui{model}/aliases", "POST", actions.move, Scope.WRITE, Work.PREDICT),
            rule(f"/ui{alias}/rollback", "POST", actions.roll_back, Scope.WRITE, Work.URGENT),
        ],
        converters={"name": NameConverter, "version": VersionConverter, "file": FileConverter},
        # Both would redirect, and a redirect goes to whatever Host the client claimed.
        strict_slashes=False,
        merge_slashes=False,
    )
    check_declared(url_map)
    return url_map


def check_declared(url_map: Map) -> None:
    """Raises TypeError unless every address says what it needs a token for."""
    for found in url_map.iter_rules():
        if not (isinstance(found.endpoint, Route) and isinstance(found.endpoint.scope, Scope)):
            raise TypeError(f"The address {found.rule} declares no scope.")
