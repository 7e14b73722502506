"""What a version's examples say about it, for its page: numbers always, and pictures where they can be drawn."""

import logging
from collections import OrderedDict
from threading import Lock
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from model_store.entities import Attribution, Version
from model_store.errors import MissingExtra, RehearsalFailed, StoreError
from model_store.proof.comparison import Confusion
from model_store.proof.examples import Examples, wanted
from model_store.proof.quality import Quality, measure
from model_store.proof.rehearsal import Rehearsal
from model_store.registry import Registry
from wsgi_service.errors import ServingError
from wsgi_service.hosts import frames
from wsgi_service.hosts.limits import allowance_to_check
from wsgi_service.hosts.pool import HostPool
from wsgi_service.pages.pictures import cleaned

log = logging.getLogger(__name__)

#: Versions whose evidence is remembered.
REMEMBERED = 64
#: Seconds that drawing may take, the first import of the library included.
LIMIT = 30.0
TITLES = {
    "confusion": "Expected labels against answered ones",
    "residuals": "Residuals against what was expected",
    "scores": "Distribution of the scores",
}


class Picture(Struct, frozen=True):
    """An SVG, and what it shows."""

    title: str
    svg: str


class Evidence(Struct, frozen=True):
    """Numbers and pictures; no pictures, and why, where they cannot be drawn (`passing`: only just now)."""

    quality: Quality
    pictures: list[Picture]
    hint: str = ""
    passing: bool = False


class Evidences:
    """The evidence for each version, made when it is first looked at.

    Args:
        registry: has the examples.
        rehearsal: has versions answer them.
        pool: has the host that draws.
    """

    def __init__(self, registry: Registry, rehearsal: Rehearsal, pool: HostPool) -> None:
        self._registry = registry
        self._rehearsal = rehearsal
        self._pool = pool
        self._known: OrderedDict[tuple[str, bytes], Evidence] = OrderedDict()
        self._lock = Lock()

    def of(self, version: Version, by: Attribution) -> Evidence | None:
        """What is known about a version; None if it has no examples, or does not answer them now."""
        examples = self._registry.examples(version.model, version.version)
        if examples is None or version.state != "ready":
            return None
        key = version.digest, msgspec.msgpack.encode((examples, version.class_names or None))
        with self._lock:  # one at a time: it holds a host, and whoever comes next may find it made
            if key not in self._known:
                try:
                    made = self._make(version, examples, by)
                except (RehearsalFailed, ServingError, StoreError) as error:
                    log.info("%s version %d has no evidence: %s", version.model, version.version, error)
                    return None
                if made.passing:
                    return made
                self._known[key] = made
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            return self._known[key]

    def _make(self, version: Version, examples: Examples, by: Attribution) -> Evidence:
        answers = self._rehearsal.answers(version, examples.rows, wanted(version.methods), by)
        quality = _named(measure(examples, answers, version.schema), version)
        try:
            return Evidence(quality, self._draw(quality))
        except MissingExtra as error:
            return Evidence(quality, [], str(error))
        except (ServingError, StoreError) as error:
            return Evidence(quality, [], str(error), passing=True)

    def _draw(self, quality: Quality) -> list[Picture]:
        request = frames.Draw(quality)
        with self._pool.reading(LIMIT) as host:
            reply, _ = host.call(request, [], LIMIT, allowance_to_check(0))
        assert isinstance(reply, frames.Drawn)  # noqa: S101 - the only reply to Draw besides Failed
        titles = [title for name, title in TITLES.items() if getattr(quality, name) is not None]
        pictures = zip(titles, reply.pictures, strict=False)
        clean = [Picture(title, cleaned(svg, title, f"p{n}-")) for n, (title, svg) in enumerate(pictures)]
        return [picture for picture in clean if picture.svg]


def _named(quality: Quality, version: Version) -> Quality:
    """The same with the names of the classes, where they have some."""
    classes, names, confusion = version.schema.classes, version.class_names, quality.confusion
    if classes is UNSET or names is UNSET or confusion is None:
        return quality
    by_class: dict[Any, str] = dict(zip(classes, names, strict=True))
    labels = [by_class.get(label, label) for label in confusion.labels]
    return msgspec.structs.replace(quality, confusion=Confusion(labels, confusion.counts))
