"""Everything an upload's inspection finds out, from the file to the facts."""

import platform
import re
import time
import warnings
from collections.abc import Collection
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from model_store import formats
from model_store.described import SelfDescribed
from model_store.entities import Facts, Inspection
from model_store.errors import MissingExtra, Refused, Unsafe
from model_store.estimators.frames import as_input
from model_store.estimators.inputs import read_inputs
from model_store.estimators.methods import check_answers, methods_of
from model_store.estimators.outputs import read_classes, read_outputs
from model_store.estimators.passes import Passes
from model_store.estimators.plausibility import LOOKS, Expected, expected_of, faults_in
from model_store.estimators.typical import typical_rows
from model_store.footprint import forget_peak, peak, resident
from model_store.formats.rules import Audit
from model_store.formats.sniffing import sniff
from model_store.methods import METHODS
from model_store.naming import rename_columns
from model_store.safety import STRICT, Policy, Report
from model_store.schema import Scalar, Schema

PACKAGES = ("scikit-learn", "numpy", "scipy", "skops")
#: Bytes of everything that is kept and shown of a version.
MAX_FACTS = 4 << 20
#: Rows that each method is tried with.
TRIED = 3
#: Seconds of processor time that these may take for typical rows, ten times as many, to be tried as well.
PROMPT = 0.2
RELEASE = re.compile(r"[0-9A-Za-z.+]{1,40}")
#: Method -> what does not make sense in what it gives.
Faults = dict[str, list[str]]
#: Format -> further packages that its answers depend on.
ALSO = {"onnx": ("onnxruntime",)}
PANDAS_MISSING = (
    "This estimator selects its columns by name or type, which needs a DataFrame, and pandas is not "
    'installed on the server. Its operator can add it: pip install "wsgi-service[pandas]"'
)


def inspect(path: Path, column_names: tuple[str, ...] | None = None, policy: Policy = STRICT) -> Inspection:
    """The facts about the artifact at `path`, and its safety report. Raises as `Inspector.inspect` does."""
    started, before = time.perf_counter(), resident()
    forget_peak()
    audit, format_ = Audit(), "unknown"

    def report(refused: bool) -> Report:
        return audit.report(format_, refused, time.perf_counter() - started, max(0, peak() - before))

    try:
        format_ = sniff(path, policy)
        facts, silent = _read_facts(path, format_, column_names, policy, audit)
    except Refused as error:
        if not audit.refused:
            audit.refuse("format-is-read" if format_ == "unknown" else "answers", str(error), type(error))
        error.report = report(refused=True)
        raise
    return Inspection(facts, report(refused=False), silent)


def _read_facts(
    path: Path, format_: str, column_names: tuple[str, ...] | None, policy: Policy, audit: Audit
) -> tuple[Facts, str]:
    """The facts, and why the estimator does not answer its sample."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        estimator = formats.load(format_, path, policy, audit)
    check_answers(estimator)
    schema = read_schema(estimator, column_names)
    if schema.frame and find_spec("pandas") is None:
        raise MissingExtra(PANDAS_MISSING, extra="pandas")
    silent, faults = _try_out(estimator, schema)
    methods = _sensible_methods(estimator, faults)
    facts = Facts(
        format=format_,
        estimator=estimator_name(estimator),
        methods=methods,
        schema=schema,
        environment=environment(*ALSO.get(format_, ())),
        fitted=audit.fitted | _fitted(caught),
        faults=tuple(chain.from_iterable(faults[name] for name in methods if name in faults)),
    )
    if len(msgspec.msgpack.encode(facts)) > MAX_FACTS:
        raise Unsafe("The description of this model (its columns, categories and classes) is larger than 4 MB.")
    return facts, silent


def prepare() -> None:
    """Do now what the first inspection or load would otherwise wait for."""
    from model_store.formats.skops.allowed import types_by_loader

    types_by_loader()


def read_schema(estimator: Any, column_names: tuple[str, ...] | None = None) -> Schema:
    """The schema of a fitted estimator, read off its attributes."""
    schema = estimator.schema if isinstance(estimator, SelfDescribed) else _read_schema(estimator)
    if column_names is not None and schema.column_names != column_names:
        schema = rename_columns(schema, column_names)
    return schema


def _read_schema(estimator: Any) -> Schema:
    schema = read_inputs(estimator)
    classes = read_classes(estimator)
    outputs = read_outputs(estimator)
    return msgspec.structs.replace(schema, outputs=outputs, classes=UNSET if classes is None else classes)


def estimator_name(estimator: Any) -> str:
    """The class of an estimator, with its steps if it is a pipeline: `Pipeline(StandardScaler, SVC)`."""
    if isinstance(estimator, SelfDescribed):
        return estimator.title
    name = type(estimator).__name__
    steps = [type(step).__name__ for _, step in getattr(estimator, "steps", ()) if hasattr(step, "fit")]
    return f"{name}({', '.join(steps)})" if steps else name


def environment(*also: str) -> dict[str, str]:
    """The releases that judged the artifact and will serve it."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in (*PACKAGES, *also)}


def _fitted(caught: list[warnings.WarningMessage]) -> dict[str, str]:
    """The scikit-learn that an estimator inside was fitted with, where that is not the one that runs here."""
    said = (str(getattr(entry.message, "original_sklearn_version", "")) for entry in caught)
    found = next((release for release in said if RELEASE.fullmatch(release)), None)
    return {"scikit-learn": found} if found else {}


def _try_out(estimator: Any, schema: Schema) -> tuple[str, Faults]:
    """Why the estimator does not answer rows like the sample that was read off it, and what makes no sense.

    It is tried with typical rows as well; that it does not take those that are made up says nothing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, began = expected_of(estimator, schema), time.process_time()
        silent, faults = _tried(estimator, [[column.sample for column in schema.inputs]] * TRIED, expected)
        if silent or time.process_time() - began > PROMPT:
            return silent, faults
        with suppress(Exception):
            faults |= _tried(estimator, typical_rows(estimator, schema), expected, LOOKS)[1]
        return silent, faults


def _tried(
    estimator: Any, rows: list[list[Scalar]], expected: Expected, only: Collection[str] = METHODS
) -> tuple[str, Faults]:
    """Which method raised what for rows, and what does not make sense in the results of those before it."""
    passes = Passes(estimator)
    results: dict[str, Any] = {}
    silent = ""
    for method in methods_of(estimator):
        if rows and method in only and not silent:
            try:
                (results[method],) = passes.call([method], as_input(expected.schema, rows))
            except Exception as error:  # noqa: BLE001 - whatever an estimator raises is what is being found out
                silent = f"{method} raised {type(error).__name__}"
    return silent, faults_in(results, len(rows), expected)


def _sensible_methods(estimator: Any, faults: Faults) -> tuple[str, ...]:
    """The methods of an estimator; of several names for the same numbers only the first that makes sense."""
    methods = methods_of(estimator)
    names = estimator.names_of_scores if isinstance(estimator, SelfDescribed) else ()
    chosen = next((name for name in names if name not in faults), "".join(names[:1]))
    return tuple(name for name in methods if name not in names or name == chosen)
