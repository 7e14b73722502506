"""The use cases of the store in one process, as a notebook has them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import pytest

from model_store import Attribution, Catalog, open_catalog
from model_store.errors import InvalidMetadata, InvalidName, Refused, StorageError, VersionExists
from model_store.publication import Publication

pytestmark = pytest.mark.system

BY = Attribution("ann", "notebook")
LINE = models.skops_bytes(models.line())


@pytest.fixture
def catalog(folder: Path) -> Iterator[Catalog]:
    opened = open_catalog(folder)
    yield opened
    registry: Any = opened.registry
    registry.close()


def test_published_bytes_come_back_as_they_were(catalog: Catalog) -> None:
    version, new = catalog.publish("line", [LINE], BY)
    assert (version.version, new, version.estimator) == (1, True, "LinearRegression")
    with catalog.artifacts.open(version.digest) as file:
        assert file.read() == LINE


def test_what_is_refused_leaves_nothing_behind(catalog: Catalog, left_behind: Any) -> None:
    for data in (b"", b"no model", LINE[:100], models.edited(LINE, lambda schema: schema.update(protocol=1))):
        with pytest.raises(Refused):
            catalog.publish("line", [data], BY)
    with pytest.raises(InvalidName):
        catalog.publish("Line", [LINE], BY)
    assert (left_behind(), catalog.registry.models(10), catalog.registry.events("line")) == ([], [], [])


def test_a_publish_that_loses_the_race_leaves_no_blob(catalog: Catalog, left_behind: Any) -> None:
    catalog.publish("line", [LINE], BY, Publication(number=1))
    before = left_behind()
    original = catalog.registry.check_free
    catalog.registry.check_free = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(VersionExists):
        catalog.publish("line", [models.skops_bytes(models.iris())], BY, Publication(number=1))
    catalog.registry.check_free = original  # type: ignore[method-assign]
    assert left_behind() == before


def test_a_blob_lives_as_long_as_any_version_has_it(catalog: Catalog, left_behind: Any) -> None:
    catalog.publish("one", [LINE], BY)
    catalog.publish("other", [LINE], BY)
    catalog.delete_model("one", BY)
    assert len(left_behind()) == 1
    catalog.delete_model("other", BY)
    assert left_behind() == []


def test_deleting_a_version_frees_its_bytes(catalog: Catalog, left_behind: Any) -> None:
    catalog.publish("line", [LINE], BY)
    catalog.publish("line", [models.skops_bytes(models.iris())], BY)
    catalog.delete_version("line", 2, BY)
    assert len(left_behind()) == 1


def test_bytes_that_vanish_before_the_row_are_not_acknowledged(catalog: Catalog) -> None:
    def gone(digest: str) -> None:
        catalog.artifacts.unlink(digest)
        raise StorageError("gone")

    catalog.artifacts.confirm = gone  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        catalog.publish("line", [LINE], BY)
    assert catalog.registry.models(10) == []


def test_the_sweep_takes_orphans_and_leaves_what_has_a_row(catalog: Catalog, left_behind: Any) -> None:
    catalog.publish("line", [LINE], BY)
    before = left_behind()
    catalog.artifacts.keep(catalog.artifacts.stage([b"orphan"]))
    catalog.artifacts.stage([b"abandoned"])
    catalog.sweep()
    assert len(left_behind()) == 3
    catalog.sweep(older_than=-60)
    assert left_behind() == before


def test_class_names_are_as_many_as_there_are_classes(catalog: Catalog) -> None:
    with pytest.raises(InvalidMetadata, match="2 names, but the estimator has 3 classes"):
        catalog.publish("iris", [models.skops_bytes(models.iris())], BY, Publication(class_names=("a", "b")))
    with pytest.raises(InvalidMetadata, match="no single list"):
        catalog.publish("line", [LINE], BY, Publication(class_names=("a",)))


def test_metadata_changes_key_by_key_and_null_takes_back(catalog: Catalog) -> None:
    catalog.publish("iris", [models.skops_bytes(models.iris())], BY)
    changes = {"class_names": tuple(models.SPECIES), "column_names": tuple(models.MEASURES), "tags": {"a": "b"}}
    changed = catalog.update_version("iris", 1, changes, BY)
    assert (changed.class_names, changed.schema.column_names) == (tuple(models.SPECIES), tuple(models.MEASURES))
    back = catalog.update_version("iris", 1, {"column_names": None, "tags": None}, BY)
    assert (back.schema.column_names, back.tags) == (("x0", "x1", "x2", "x3"), {})
    assert back.class_names == tuple(models.SPECIES)


def test_the_same_data_folder_opens_again(folder: Path, catalog: Catalog) -> None:
    catalog.publish("line", [LINE], BY)
    registry: Any = open_catalog(folder).registry
    assert registry.version("line", 1).aliases == ("live",)
    registry.close()


def test_a_model_of_another_release_is_taken_with_a_warning(catalog: Catalog) -> None:
    def edit(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["_sklearn_version"]["content"] = '"1.7.0"'

    version, _ = catalog.publish("line", [models.edited(LINE, edit)], BY)
    (warning,) = version.warnings
    assert warning.startswith("Fitted with scikit-learn 1.7.0, served with ")
