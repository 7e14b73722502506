"""What a version's examples say about it, for its page: numbers always, and pictures where they can be drawn."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
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
from wsgi_service.errors import Busy, ServingError
from wsgi_service.pages.pictures import cleaned

log = logging.getLogger(__name__)

#: Versions whose evidence is remembered.
REMEMBERED = 64
DRAWN_NOW = "The pictures wait until those of another page are drawn. Load this page again in a moment."
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
        draw: gives the SVG of each picture.
    """

    def __init__(self, registry: Registry, rehearsal: Rehearsal, draw: Callable[[Quality], Sequence[str]]) -> None:
        self._registry = registry
        self._rehearsal = rehearsal
        self._drawn = draw
        self._known: OrderedDict[tuple[str, bytes], Evidence] = OrderedDict()
        self._lock = Lock()

    def of(self, version: Version, by: Attribution) -> Evidence | None:
        """What is known about a version; None if it has no examples, or does not answer them now."""
        examples = self._registry.examples(version.model, version.version)
        if examples is None or version.state != "ready":
            return None
        key = version.digest, msgspec.msgpack.encode((examples, version.class_names or None))
        known = self._known.get(key)
        if known and not known.passing:
            return known
        try:
            made = self._with_pictures(known.quality if known else self._measure(version, examples, by))
        except (RehearsalFailed, ServingError, StoreError) as error:
            log.info("%s version %d has no evidence: %s", version.model, version.version, error)
            return None
        with self._lock:
            self._known[key] = made
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return made

    def _measure(self, version: Version, examples: Examples, by: Attribution) -> Quality:
        answers = self._rehearsal.answers(version, examples.rows, wanted(version.methods), by)
        return _named(measure(examples, answers, version.schema), version)

    def _with_pictures(self, quality: Quality) -> Evidence:
        try:
            return Evidence(quality, self._draw(quality))
        except MissingExtra as error:
            return Evidence(quality, [], str(error))
        except Busy:
            return Evidence(quality, [], DRAWN_NOW, passing=True)
        except (ServingError, StoreError) as error:
            return Evidence(quality, [], str(error), passing=True)

    def _draw(self, quality: Quality) -> list[Picture]:
        titles = [title for name, title in TITLES.items() if getattr(quality, name) is not None]
        pictures = zip(titles, self._drawn(quality), strict=False)
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
