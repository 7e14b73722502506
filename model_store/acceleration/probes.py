"""Rows on which a program is likely to differ from its estimator: where the data lies, at thresholds, between
floating-point numbers, at the ends of what is trusted, and with missing values.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_store.acceleration import location
from model_store.acceleration.codes import EXACT, Codes, known_texts
from model_store.acceleration.domains import Domain, domain_of
from model_store.acceleration.origins import Features, columns
from model_store.schema import Column, Schema

Array = NDArray[np.float64]
#: Rows in which one value stands at a threshold, rows of typical values in any combination, and rows with gaps.
AT_THRESHOLDS, MIXED, GAPPY = 6_000, 1_500, 400
#: Values that are taken from one column of what an estimator keeps.
TAKEN = 1_000
#: Blocks of rows like the data, anywhere in the box of trust, and with missing numbers.
DATA, BOX, GAPS = "data", "box", "gaps"
#: Larger numbers are not for programs: in single precision their squares have no number.
LARGEST = 1e15
#: The box of trust is so many times as wide as what is known of the data.
WIDER = 2.5
#: What only the weights say something of is so many times as large at the most.
FARTHEST = 1e5
#: Powers of ten: the sizes of numbers in columns of which nothing is known.
SIZES = (-6.0, 13.0)


class Block(NamedTuple):
    """Rows that lie in one place, and are compared for themselves.

    Attributes:
        name: of the place.
        rows: rows x columns.
        edges: further rows there, at which the estimator turns from one label to another.
    """

    name: str
    rows: Array
    edges: Array | None = None

    @property
    def every(self) -> Array:
        """Both."""
        return self.rows if self.edges is None else np.vstack([self.rows, self.edges])


class Probes(NamedTuple):
    """What an estimator and its program are compared on.

    Attributes:
        blocks: rows x columns of numbers (`codes`); NaN where one is missing.
        low, high: the box of trust: the ends of each column.
        moving: which columns can have any number in between.
        located: whether something says of each column where its data lies.
    """

    blocks: tuple[Block, ...]
    low: Array
    high: Array
    moving: NDArray[np.bool_]
    located: bool = True

    @property
    def rows(self) -> Array:
        """All rows."""
        return np.vstack([block.every for block in self.blocks])


def probes(estimator: Any, schema: Schema, examples: Sequence[Sequence[Any]], seed: int = 0) -> Probes:
    """Rows to compare an estimator and its program on.

    Args:
        estimator: that takes columns of numbers and categories.
        schema: of it.
        examples: rows of the version; those that have no such numbers are left out.
        seed: of the choice.

    Raises:
        ValueError: a column is of something else.
    """
    random = np.random.default_rng(seed)
    features = columns(len(schema.inputs))
    given = _coded(examples, schema)
    whole = location.rows_of(estimator, len(schema.inputs), random)
    sharp = _values(location.thresholds(estimator, features), schema)
    usual, told, located = _usual(estimator, features, schema, np.vstack([whole, given]), sharp, random)
    critical = [_neighbours(_few(values, random)) for values in sharp]
    wide = [values if known else FARTHEST * values for values, known in zip(usual, told, strict=True)]
    low, high = _box(usual, sharp, wide, _values(location.ends(estimator, features), schema))
    blocks = [
        Block(DATA, _mixed(usual, MIXED, random)),
        Block("rows of the estimator", _beside(whole, random)),
        Block("thresholds", _at_thresholds(usual, critical, random)),
        Block(
            "mixed", _mixed([np.concatenate(pair) for pair in zip(usual, critical, strict=True)], MIXED, random)
        ),
        Block(BOX, _in_box(low, high, random)),
        *(Block(f"times {times:g}", rows) for times, rows in _larger(usual, told, random)),
    ]
    found = [Block(name, _fitting(np.clip(rows, low, high), schema, random)) for name, rows, _ in blocks]
    found.append(Block(GAPS, _gappy(found[0].rows, schema, random)))
    found.append(Block("examples", given))
    low, high = _with_codes(low, high, schema)
    domains = _domains(schema)
    moving = np.array([
        domain is None and column.type in ("number", "any")
        for column, domain in zip(schema.inputs, domains, strict=True)
    ])  # fmt: skip
    return Probes(tuple(block for block in found if len(block.rows)), low, high, moving, located)


def _domains(schema: Schema) -> list[Domain | None]:
    return [domain_of(column, texts) for column, texts in zip(schema.inputs, known_texts(schema), strict=True)]


def _values(found: Iterator[tuple[int, Array]], schema: Schema) -> list[Array]:
    """The values of each column."""
    kept: list[list[Array]] = [[] for _ in schema.inputs]
    for column, values in found:
        kept[column].append(np.clip(values[np.isfinite(values)], -LARGEST, LARGEST))
    return [np.unique(np.concatenate([np.zeros(0), *values])) for values in kept]


def _usual(
    estimator: Any,
    features: Features,
    schema: Schema,
    whole: Array,
    sharp: Sequence[Array],
    random: np.random.Generator,
) -> tuple[list[Array], list[bool], bool]:
    """Typical values of each column; which are known, and not turned round; whether something is known of each."""
    kept = _values(location.usual(estimator, features), schema)
    turned = _values(location.turned_round(estimator, features), schema)
    found, told, located = [], [], True
    for index in range(len(schema.inputs)):
        values = np.concatenate([kept[index], sharp[index], np.clip(whole[:, index], -LARGEST, LARGEST)])
        alone = not len(values) or np.ptp(values) == 0
        told.append(not (alone and len(turned[index])))
        if alone:
            values = np.concatenate([values, turned[index]])
        if not len(values):
            located &= _domains(schema)[index] is not None or schema.inputs[index].optional is True
            values = random.choice([-1.0, 1.0], TAKEN) * 10 ** random.uniform(*SIZES, TAKEN)
        found.append(_few(np.unique(values), random))
    return found, told, located


def _few(values: Array, random: np.random.Generator) -> Array:
    if len(values) <= TAKEN:
        return values
    ends = [values.min(), values.max()]
    return np.concatenate([ends, random.choice(values, TAKEN - 2, replace=False)])


def _box(*known: Sequence[Array]) -> tuple[Array, Array]:
    """The ends of each column: a little more than a threshold or a typical value on each side."""
    every = [np.concatenate(values) for values in zip(*known, strict=True)]
    low, high = (np.array([end(values) for values in every]) for end in (np.min, np.max))
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    half = np.where(half > 1e-9 * abs(middle), half, np.maximum(abs(middle), 1.0))  # one value says little
    return np.clip(middle - WIDER * half, -LARGEST, LARGEST), np.clip(middle + WIDER * half, -LARGEST, LARGEST)


def _with_codes(low: Array, high: Array, schema: Schema) -> tuple[Array, Array]:
    """The box with every number that stands for a category."""
    for index, domain in enumerate(_domains(schema)):
        if domain is not None:
            whole = domain.values[~np.isnan(domain.values)]
            low[index], high[index] = min(low[index], whole.min()), max(high[index], whole.max())
    return low, high


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


def _beside(rows: Array, random: np.random.Generator) -> Array:
    """Whole rows, some of those between two of them, and some a little beside them."""
    if not len(rows):
        return rows
    rows = rows[random.permutation(len(rows))[:TAKEN]]
    others = rows[random.permutation(len(rows))]
    part = random.random((len(rows), 1))
    near = rows * (1 + 1e-6 * random.normal(size=rows.shape))
    return np.vstack([rows, rows + part * (others - rows), near])


def _larger(
    usual: Sequence[Array], told: Sequence[bool], random: np.random.Generator
) -> Iterator[tuple[float, Array]]:
    """Rows of several sizes in the columns that only the weights say something of; each size passes for itself."""
    times = 10.0
    while times <= FARTHEST and not all(told):
        rows = _mixed(usual, MIXED // 5, random)
        yield times, np.where(told, rows, times * rows)
        times *= 10


def _at_thresholds(usual: Sequence[Array], sharp: Sequence[Array], random: np.random.Generator) -> Array:
    """Typical rows in which one value is critical; all columns in turn."""
    each = max(1, AT_THRESHOLDS // len(sharp))
    blocks = [np.zeros((0, len(usual)))]
    for column, values in enumerate(sharp):
        if not len(values):
            continue
        chosen = values if len(values) <= each else random.choice(values, each, replace=False)
        block = _mixed(usual, len(chosen), random)
        block[:, column] = chosen
        blocks.append(block)
    return np.vstack(blocks)


def _in_box(low: Array, high: Array, random: np.random.Generator) -> Array:
    """Rows anywhere in the box, and some of its corners."""
    between = low + random.random((MIXED, len(low))) * (high - low)
    corners = np.where(random.random((MIXED // 10, len(low))) < 0.5, low, high)  # noqa: PLR2004
    return np.vstack([between, corners])


def _fitting(rows: Array, schema: Schema, random: np.random.Generator) -> Array:
    """The same rows, with categories where there are only these, and whole numbers where these are asked for."""
    for index, (column, domain) in enumerate(zip(schema.inputs, _domains(schema), strict=True)):
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
