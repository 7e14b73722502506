"""Measures how the registry's reads grow with the number of versions in it.

    .venv/bin/python scripts/measure_registry.py

Fills registries of 10, 100 and 1,000 models with 100 versions each, and times what a server asks of them, each
many times at random places. The figures that were measured are in docs/registry.md.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_store.entities import Attribution, Draft, Facts
from model_store.schema import Column, Output, Schema
from model_store.sql import statements, versions
from model_store.sql.connection import writing
from model_store.sql.registry import SqlRegistry

MODELS = (10, 100, 1000)
VERSIONS = 100
TIMES = 200
BY = Attribution("measure", "measure")


def main() -> int:
    """Print a row for each read and size: the median and the 99th percentile in milliseconds."""
    print(f"| {'read':32} |" + "".join(f" {models * VERSIONS:>7} versions |" for models in MODELS))
    print(f"|{'-' * 34}|" + "---:|" * len(MODELS))
    measured = [_measure(models) for models in MODELS]
    for name in measured[0]:
        print(f"| {name:32} |" + "".join(f" {row[name]:>16} |" for row in measured))
    return 0


def _measure(models: int) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        registry = SqlRegistry(f"sqlite:///{(Path(folder) / 'registry.db').as_posix()}")
        try:
            for index in range(models):
                _fill(registry, f"model-{index:04}")
            return {name: _time(read) for name, read in _reads(registry, models).items()}
        finally:
            registry.close()


def _reads(registry: SqlRegistry, models: int) -> dict[str, Callable[[], Any]]:
    chance = random.Random(1)  # noqa: S311 - not for secrets

    def name() -> str:
        return f"model-{chance.randrange(models):04}"

    def number() -> int:
        return chance.randrange(1, VERSIONS + 1)

    return {
        "revision": registry.revision,
        "resolve an alias to its version": lambda: _resolve(registry, name()),
        "a version": lambda: registry.version(name(), number()),
        "a model": lambda: registry.model(name()),
        "a page of 100 models": lambda: registry.models(100, name()),
        "the versions of a model (100)": lambda: registry.versions(name()),
        "a page of 100 events": lambda: registry.events(name(), 100),
        "what a rollback would go to": lambda: registry.previous(name(), "live"),
    }


def _resolve(registry: SqlRegistry, name: str) -> Any:
    return registry.version(name, registry.alias(name, "live").version)


def _time(read: Callable[[], Any]) -> str:
    read()
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        read()
        taken.append((time.perf_counter() - started) * 1000)
    taken.sort()
    return f"{statistics.median(taken):.2f} ({taken[int(TIMES * 0.99)]:.2f})"


def _fill(registry: SqlRegistry, name: str) -> None:
    """A model with its versions, in one transaction; `live` is moved three times."""
    with writing(registry._engine) as connection:
        statements.insert_model(connection, name, None, {})
        for number in range(1, VERSIONS + 1):
            versions._insert(connection, name, number, _draft(f"{name}-{number}"), BY)
    for number in (2, 50, 99):
        registry.set_alias(name, "live", number, BY)


def _draft(seed: str) -> Draft:
    """A version with ten columns, as most are."""
    columns = tuple(Column(name=f"column {index}", type="number", sample=1.5) for index in range(10))
    facts = Facts(
        format="skops",
        estimator="Pipeline(StandardScaler, LogisticRegression)",
        methods=("predict", "predict_proba", "predict_log_proba", "decision_function"),
        schema=Schema(inputs=columns, outputs=(Output(name="prediction", type="integer"),), classes=(0, 1, 2)),
        environment={"python": "3.11.2", "scikit-learn": "1.9.1", "numpy": "2.4.6", "scipy": "1.18.0"},
    )
    return Draft(digest=f"sha256:{random.Random(seed).randbytes(32).hex()}", size=1000, facts=facts)  # noqa: S311


if __name__ == "__main__":
    sys.exit(main())
