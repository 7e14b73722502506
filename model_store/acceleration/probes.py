"""Rows on which a program is likely to differ from its estimator: at thresholds, between floating-point numbers,
at the ends of what was seen at fitting, and with missing values.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.acceleration.codes import EXACT, Codes, known_texts
from model_store.acceleration.domains import domain_of
from model_store.acceleration.origins import Features, columns, inside
from model_store.schema import Column, Schema

Array = NDArray[np.float64]
#: Rows in which one value stands at a threshold, rows of typical values in any combination, and rows far away.
AT_THRESHOLDS, MIXED, FAR, GAPPY = 6_000, 1_500, 100, 400
#: Values that are taken from one column of what an estimator keeps.
TAKEN = 1_000
#: Larger numbers are not for programs: in single precision their squares have no number.
LARGEST = 1e15


def probes(estimator: Any, schema: Schema, examples: Sequence[Sequence[Any]], seed: int = 0) -> Array:
    """Rows x columns of numbers (`codes`) to compare an estimator and its program on; NaN where one is missing.

    Args:
        estimator: that takes columns of numbers and categories.
        schema: of it.
        examples: rows of the version; those that have no such numbers are left out.
        seed: of the choice.

    Raises:
        ValueError: a column is of something else.
    """
    random = np.random.default_rng(seed)
    typical, critical = _Values(schema), _Values(schema)
    _gather(estimator, columns(len(schema.inputs)), typical, critical)
    usual = [typical.of(index, random) for index in range(len(schema.inputs))]
    sharp = [_neighbours(critical.of(index, random)) for index in range(len(schema.inputs))]
    found = [
        _at_thresholds(usual, sharp, random),
        _mixed([np.concatenate(pair) for pair in zip(usual, sharp, strict=True)], MIXED, random),
        _between(usual, sharp, MIXED, random),
        _far(usual, random),
    ]
    rows = _fitting(np.clip(np.vstack(found), -LARGEST, LARGEST), schema, random)
    rows = np.vstack([rows, _coded(examples, schema)])
    return np.vstack([rows, _gappy(rows, schema, random)])


class _Values:
    """Numbers for each column."""

    def __init__(self, schema: Schema) -> None:
        self._found: list[list[Array]] = [[] for _ in schema.inputs]
        self._samples = [column.sample for column in schema.inputs]

    def add(self, column: int, values: Array) -> None:
        self._found[column].append(values[np.isfinite(values)])

    def of(self, column: int, random: np.random.Generator) -> Array:
        """What was added to a column, the sample of the schema and some plain numbers; only so many."""
        sample = self._samples[column]
        known = [float(sample)] if isinstance(sample, int | float) else []
        values = np.unique(np.concatenate([*self._found[column], known, [0.0, 1.0, -1.0]]))
        return values if len(values) <= TAKEN else random.choice(values, TAKEN, replace=False)


def _gather(estimator: Any, features: Features, typical: "_Values", critical: "_Values") -> None:
    """Collect what an estimator and those inside it keep about their columns."""
    for inner, known in inside(estimator, features):
        for found, values in ((_thresholds(inner), critical), (_seen(inner), typical)):
            for feature, numbers in found:
                origin = known[feature] if feature < len(known) else None
                array = np.asarray(numbers, dtype=np.float64).ravel()
                array = array[np.isfinite(array)]  # a tree that splits off what is missing does so at infinity
                if origin is not None and len(array):
                    values.add(origin.column, origin.back(array))


def _thresholds(estimator: Any) -> Iterator[tuple[int, Array]]:
    """Column -> values at which something changes."""
    tree = getattr(estimator, "tree_", None)
    if tree is not None:
        yield from _by_column(tree.feature, tree.threshold, tree.children_left >= 0)
    for row in getattr(estimator, "_predictors", None) or ():
        for predictor in row:
            nodes = predictor.nodes
            yield from _by_column(nodes["feature_idx"], nodes["num_threshold"], nodes["is_leaf"] == 0)
    sought = getattr(estimator, "missing_values", None)
    if isinstance(sought, int | float) and np.isfinite(sought):
        yield from ((column, np.array([sought])) for column in range(getattr(estimator, "n_features_in_", 0)))
    for name in ("bin_edges_", "quantiles_"):
        yield from enumerate(_columns(getattr(estimator, name, None)))


def _by_column(columns: Any, values: Any, chosen: Any) -> Iterator[tuple[int, Array]]:
    for column in np.unique(columns[chosen]).tolist():
        yield int(column), values[chosen & (columns == column)]


def _seen(estimator: Any) -> Iterator[tuple[int, Array]]:
    """Column -> values like those that the estimator was fitted on."""
    for name in ("support_vectors_", "_fit_X", "X_fit_", "X_train_", "cluster_centers_", "theta_", "means_"):
        kept = getattr(estimator, name, None)
        if isinstance(kept, np.ndarray) and kept.ndim == 2:  # noqa: PLR2004
            yield from enumerate(kept[:TAKEN].T)
    for name in ("data_min_", "data_max_", "max_abs_", "statistics_"):
        kept = getattr(estimator, name, None)
        if isinstance(kept, np.ndarray) and kept.dtype.kind == "f":
            yield from enumerate(kept[:, None])
    for centre, scale in (("mean_", "scale_"), ("center_", "scale_")):
        middle, width = getattr(estimator, centre, None), getattr(estimator, scale, None)
        if isinstance(middle, np.ndarray) and isinstance(width, np.ndarray):
            yield from enumerate(middle[:, None] + width[:, None] * np.linspace(-4, 4, 33))


def _columns(kept: Any) -> Iterable[Array]:
    if isinstance(kept, np.ndarray) and kept.ndim == 2:  # noqa: PLR2004
        return list(kept.T)
    return list(kept) if isinstance(kept, np.ndarray) and kept.dtype == object else []


def _neighbours(values: Array) -> Array:
    """Values, those beside them in double and in single precision, and where single precision turns."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
        up, down = np.nextafter(single, np.float32(np.inf)), np.nextafter(single, np.float32(-np.inf))
    singles = [array.astype(np.float64) for array in (single, up, down)]
    turns = [(singles[0] + singles[1]) / 2, (singles[0] + singles[2]) / 2]
    found = np.concatenate([values, *singles, *turns])
    around = [found, np.nextafter(found, np.inf), np.nextafter(found, -np.inf)]
    return np.unique(np.concatenate(around)[np.isfinite(np.concatenate(around))])


def _mixed(values: Sequence[Array], rows: int, random: np.random.Generator) -> Array:
    return np.column_stack([random.choice(column, rows) for column in values])


def _at_thresholds(usual: Sequence[Array], sharp: Sequence[Array], random: np.random.Generator) -> Array:
    """Typical rows in which one value is critical; all columns in turn."""
    each = max(1, AT_THRESHOLDS // len(sharp))
    blocks = []
    for column, values in enumerate(sharp):
        chosen = values if len(values) <= each else random.choice(values, each, replace=False)
        block = _mixed(usual, len(chosen), random)
        block[:, column] = chosen
        blocks.append(block)
    return np.vstack(blocks)


def _between(usual: Sequence[Array], sharp: Sequence[Array], rows: int, random: np.random.Generator) -> Array:
    """Rows anywhere between the smallest and the largest values, and a little beyond."""
    ends = [np.concatenate(pair) for pair in zip(usual, sharp, strict=True)]
    low, high = (np.array([end(column) for column in ends]) for end in (np.min, np.max))
    margin = 0.1 * (high - low)
    found: Array = random.uniform(low - margin, high + margin, (rows, len(ends)))
    return found


def _far(usual: Sequence[Array], random: np.random.Generator) -> Array:
    """Typical rows, times up to a thousand."""
    return _mixed(usual, FAR, random) * 10 ** random.uniform(0, 3, (FAR, 1))


def _fitting(rows: Array, schema: Schema, random: np.random.Generator) -> Array:
    """The same rows, with categories where there are only these, and whole numbers where these are asked for."""
    for index, (column, texts) in enumerate(zip(schema.inputs, known_texts(schema), strict=True)):
        domain = domain_of(column, texts)
        if domain is not None and (domain.placed or column.closed or column.type == "boolean"):
            rows[:, index] = random.choice(domain.values[domain.asked], len(rows))
        elif domain is not None:
            rows[::2, index] = random.choice(domain.values, len(rows[::2]))
        if column.type == "integer":
            rows[:, index] = np.clip(np.rint(rows[:, index]), -EXACT, EXACT)
    return rows


def _coded(examples: Sequence[Sequence[Any]], schema: Schema) -> Array:
    """Those examples that are numbers and categories, as rows of numbers."""
    codes = Codes(known_texts(schema))
    found = [codes.matrix([_cells(column, value) for column, value in zip(schema.inputs, row, strict=True)])
             for row in examples]  # fmt: skip
    whole = [row for row in found if row is not None and np.isfinite(row).all()]
    return np.vstack([np.zeros((0, len(schema.inputs))), *whole])


def _cells(column: Column, value: Any) -> Any:
    """One value as a column of one row."""
    if column.type == "string":
        return ["" if value is None else value], np.array([value is not None])
    return np.array([value if isinstance(value, int | float) else np.nan]), None


def _gappy(rows: Array, schema: Schema, random: np.random.Generator) -> Array:
    """Some of the rows with missing numbers, where columns may have them; missing texts have a number."""
    open_ = np.flatnonzero([
        column.nullable and texts is None
        for column, texts in zip(schema.inputs, known_texts(schema), strict=True)
    ])  # fmt: skip
    if not len(open_):
        return rows[:0]
    chosen = rows[random.integers(len(rows), size=GAPPY)].copy()
    gaps = random.random((GAPPY, len(open_))) < 0.3  # noqa: PLR2004
    gaps[np.arange(GAPPY), random.integers(len(open_), size=GAPPY)] = True
    chosen[:, open_] = np.where(gaps, np.nan, chosen[:, open_])
    return chosen
