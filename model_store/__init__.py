"""A registry of immutable model versions that knows nothing of HTTP and can be used from a notebook.

from pathlib import Path
from model_store import Attribution, open_catalog

catalog = open_catalog(Path("var"))
with open("iris.skops", "rb") as file:
    published = catalog.publish("iris", file, Attribution("me", "notebook"))
"""

from model_store.catalog import Catalog, open_catalog
from model_store.entities import Alias, Attribution, Event, Model, Version
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
