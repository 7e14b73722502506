"""Taking an upload: publish it, then have it accelerated, wherever it came from."""

import logging
from collections.abc import Iterable

from model_store.catalog import Catalog
from model_store.entities import ONNX, Attribution, Version
from model_store.errors import StoreError
from model_store.publication import Publication
from wsgi_service.serving.accelerator import Accelerator

log = logging.getLogger(__name__)


class Uploads:
    """Publishes what is uploaded.

    Args:
        catalog: where it is published.
        accelerator: makes programs of estimators; None where that is off or not installed.
    """

    def __init__(self, catalog: Catalog, accelerator: Accelerator | None) -> None:
        self._catalog = catalog
        self._accelerator = accelerator

    def publish(
        self, model: str, chunks: Iterable[bytes], by: Attribution, options: Publication
    ) -> tuple[Version, bool]:
        """The version, and whether it is new; raises like `Catalog.publish`."""
        version, new = self._catalog.publish(model, chunks, by, options)
        if not new or version.state != "ready":
            return version, new
        try:
            return self.accelerate(version, by), new
        except StoreError as error:  # it is stored all the same, and serves
            log.warning("%s version %d was not accelerated: %s", version.model, version.version, error)
            return version, new

    def accelerate(self, version: Version, by: Attribution, again: bool = False) -> Version:
        """The version with what came of accelerating it so far. Raises StorageError or VersionNotFound."""
        if self._accelerator is None:
            return version
        return self._catalog.described(self._accelerator.accelerate(version, by, again))

    def prove_again(self, version: Version, by: Attribution) -> None:
        """Begin to compare a version with its program once more, on other examples."""
        if self._accelerator is None or version.format == ONNX:
            return
        try:
            self._accelerator.begin(version, by)
        except StoreError as error:  # the examples are stored all the same
            log.warning("%s version %d is not compared again: %s", version.model, version.version, error)
