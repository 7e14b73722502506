"""Rows on which a program is likely to differ from its estimator: at thresholds, between floating-point numbers,
at the ends of what was seen at fitting, and with missing values.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from model_store.schema import Schema

Array = NDArray[np.float64]
#: Rows in which one value stands at a threshold, rows of typical values in any combination, and rows far away.
AT_THRESHOLDS, MIXED, FAR, GAPPY = 6_000, 1_500, 100, 400
#: Values that are taken from one column of what an estimator keeps.
TAKEN = 1_000
#: Scalers that take each column for itself, and can be undone.
SCALERS = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)
#: Larger numbers are not for programs: trees in single precision refuse them.
LARGEST = 1e30


def probes(estimator: Any, schema: Schema, examples: Sequence[Sequence[Any]], seed: int = 0) -> Array:
    """Rows x columns to compare an estimator and its program on; NaN where a value is missing.

    Args:
        estimator: that takes columns of numbers.
        schema: of it.
        examples: rows of the version; those with anything but numbers are left out.
        seed: of the choice.
    """
    random = np.random.default_rng(seed)
    typical, critical = _Values(schema), _Values(schema)
    _gather(estimator, _unscaled([]), typical, critical)
    usual = [typical.of(index, random) for index in range(len(schema.inputs))]
    sharp = [_neighbours(critical.of(index, random)) for index in range(len(schema.inputs))]
    found = [
        _at_thresholds(usual, sharp, random),
        _mixed([np.concatenate(pair) for pair in zip(usual, sharp, strict=True)], MIXED, random),
        _between(usual, sharp, MIXED, random),
        _far(usual, random),
        _numbers(examples, len(schema.inputs)),
    ]
    rows = np.clip(np.vstack(found), -LARGEST, LARGEST)
    return np.vstack([rows, _gappy(rows, schema, random)])


class _Values:
    """Numbers for each column."""

    def __init__(self, schema: Schema) -> None:
        self._found: list[list[Array]] = [[] for _ in schema.inputs]
        self._samples = [column.sample for column in schema.inputs]

    def add(self, column: int, values: Any) -> None:
        array = np.asarray(values, dtype=np.float64).ravel()
        if column < len(self._found):
            self._found[column].append(array[np.isfinite(array)])

    def of(self, column: int, random: np.random.Generator) -> Array:
        """What was added to a column, the sample of the schema and some plain numbers; only so many."""
        sample = self._samples[column]
        known = [float(sample)] if isinstance(sample, int | float) else []
        values = np.unique(np.concatenate([*self._found[column], known, [0.0, 1.0, -1.0]]))
        return values if len(values) <= TAKEN else random.choice(values, TAKEN, replace=False)


def _unscaled(scalers: Sequence[Any]) -> Any:
    """A function from a column and its values behind these scalers to its values before them."""

    def undo(column: int, values: Any) -> Array:
        found = np.asarray(values, dtype=np.float64).ravel()
        for scaler in reversed(scalers):
            table = np.zeros((len(found), scaler.n_features_in_))
            table[:, column] = found
            found = scaler.inverse_transform(table)[:, column]
        return found

    return undo


def _gather(estimator: Any, undo: Any, typical: _Values, critical: _Values) -> None:
    """Collect what an estimator and those inside it keep about their columns."""
    for column, values in _thresholds(estimator):
        critical.add(column, undo(column, values))
    for column, values in _seen(estimator):
        typical.add(column, undo(column, values))
    if isinstance(estimator, Pipeline):
        _gather_steps([step for _, step in estimator.steps], typical, critical)
        return
    for inner in _inside(estimator):
        _gather(inner, undo, typical, critical)


def _gather_steps(steps: Sequence[Any], typical: _Values, critical: _Values) -> None:
    scalers: list[Any] = []
    for step in steps:
        _gather(step, _unscaled(scalers), typical, critical)
        if isinstance(step, SCALERS):
            scalers.append(step)
        elif hasattr(step, "transform") and step not in ("passthrough", None):
            return  # what comes behind it has other columns


def _inside(estimator: Any) -> Iterator[Any]:
    """The estimators that one is made of."""
    for name in ("estimators_", "calibrated_classifiers_"):
        yield from _flat(getattr(estimator, name, ()))
    for name in ("estimator", "estimator_", "best_estimator_", "final_estimator_"):
        if hasattr(inner := getattr(estimator, name, None), "get_params"):
            yield inner


def _flat(members: Any) -> Iterator[Any]:
    for member in members if isinstance(members, list | tuple | np.ndarray) else ():
        yield from _flat(member) if isinstance(member, list | tuple | np.ndarray) else [member]


def _thresholds(estimator: Any) -> Iterator[tuple[int, Array]]:
    """Column -> values at which something changes."""
    tree = getattr(estimator, "tree_", None)
    if tree is not None:
        yield from _by_column(tree.feature, tree.threshold, tree.children_left >= 0)
    for row in getattr(estimator, "_predictors", None) or ():
        for predictor in row:
            nodes = predictor.nodes
            yield from _by_column(nodes["feature_idx"], nodes["num_threshold"], nodes["is_leaf"] == 0)
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


def _numbers(examples: Sequence[Sequence[Any]], width: int) -> Array:
    numeric = [
        row for row in examples if all(isinstance(value, int | float) and np.isfinite(value) for value in row)
    ]
    return np.array(numeric, dtype=np.float64).reshape(len(numeric), width)


def _gappy(rows: Array, schema: Schema, random: np.random.Generator) -> Array:
    """Some of the rows with missing values, where columns may have them."""
    open_ = np.flatnonzero([column.nullable for column in schema.inputs])
    if not len(open_):
        return rows[:0]
    chosen = rows[random.integers(len(rows), size=GAPPY)].copy()
    gaps = random.random((GAPPY, len(open_))) < 0.3  # noqa: PLR2004
    gaps[np.arange(GAPPY), random.integers(len(open_), size=GAPPY)] = True
    chosen[:, open_] = np.where(gaps, np.nan, chosen[:, open_])
    return chosen
