"""A registry of immutable model versions that knows nothing of HTTP and can be used from a notebook.

from pathlib import Path
from model_store import Attribution, open_catalog

catalog = open_catalog(Path("var"))
with open("iris.skops", "rb") as file:
    published = catalog.publish("iris", file, Attribution("me", "notebook"))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model_store.catalog import Catalog
    from model_store.entities import Alias, Attribution, Event, Model, Version
    from model_store.opening import open_catalog
    from model_store.schema import Column, Output, Schema

__all__ = [
    "Alias",
    "Attribution",
    "Catalog",
    "Column",
    "Event",
    "Model",
    "Output",
    "Schema",
    "Version",
    "open_catalog",
]
#: Where a name is; who needs one module only does not import SQLAlchemy and numpy with it.
_HOMES = {"catalog": ("Catalog",), "opening": ("open_catalog",), "schema": ("Column", "Output", "Schema")}


def __getattr__(name: str) -> Any:
    if name not in __all__:  # a module of its own, as it would be there if everything was imported
        try:
            return import_module(f"{__name__}.{name}")
        except ModuleNotFoundError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    home = next((module for module, names in _HOMES.items() if name in names), "entities")
    return getattr(import_module(f"{__name__}.{home}"), name)
