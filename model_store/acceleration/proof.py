"""Whether a program answers what its estimator answers: labels exactly, numbers within a tolerance.

Each block of rows passes for itself, and each number is held against its own size. Where a program decides over
rounded numbers, its margin says how near to an edge a row is. The rows at which the estimator turns from one
label to another are sought by halving, and the margin there is the measured error.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.acceleration.differences import Difference, dense, difference, smallest, unequal
from model_store.acceleration.probes import BOX, DATA, Block, Probes
from model_store.acceleration.report import ComparedMethod

#: Rows that are compared one by one as well: a runtime may compute one row in another way than many.
SINGLY = 200
#: Calls of which the speed is the fastest.
TIMED, LEAST_TIMED = 50, 5
#: Seconds that timing takes at most.
TIMING = 1.0
#: Pairs of rows with different labels, and how often the way between them is halved at the most.
PAIRS, HALVED = 100, 140
#: A label is answered if the margin is so many times the measured error, and this part of the usual margin; a
#: larger part of that is a leap, and no error.
TIMES, LEAST, LEAP = 30.0, 1e-12, 1e-6
Array = NDArray[Any]
Method = Callable[[Array], Any]


def compare(
    name: str, native: Method, program: Method, margin: Method, least: float, probes: Probes
) -> ComparedMethod:
    """A method of the estimator and of the program on the same rows, together and some of them one by one.

    Args:
        name: of the method.
        native: the method of the estimator.
        program: that of the program.
        margin: of rows, as the program gives it.
        least: rows with a smaller margin are the estimator's, so they are not compared.
        probes: the rows.
    """
    found = [one for block in probes.blocks for one in _of_block(block, native, program, margin, least)]
    return ComparedMethod(
        method=name,
        rows=int(np.sum(margin(probes.rows) > least)),
        mismatches=sum(one.mismatches for one in found),
        largest_absolute=max((one.absolute for one in found), default=0.0),
        largest_relative=max((one.relative for one in found), default=0.0),
    )


def with_edges(natives: Mapping[str, Method], found: Probes) -> Probes:
    """The same rows, and in each block those at which a method turns from one label to another, or leaps."""
    return found._replace(
        blocks=tuple(block._replace(edges=_edges(natives, block, found.moving)) for block in found.blocks)
    )


def _edges(natives: Mapping[str, Method], block: Block, moving: NDArray[np.bool_]) -> Array:
    edges = [block.rows[:0]]
    for native in natives.values():
        numbers = dense(native(block.rows[:1])).dtype.kind == "f"
        if not numbers or block.name in (DATA, BOX):  # to seek leaps takes long
            edges += [(leaps if numbers else turns)(native, block.rows, moving, seed) for seed in (0, 1)]
    return np.vstack(edges)


def least_margin(
    natives: Mapping[str, Method], programs: Mapping[str, Method], margin: Method, found: Probes
) -> float:
    """The margin from which on a row is the program's: so many times the error that was measured.

    Where the estimator turns, the program's margin should be 0, so what it is there is its error. A margin of
    usual size is no error: there the estimator leaps for another reason, as at a threshold of a tree. Every second
    row at an edge is measured, and the others are left to be compared.
    """
    usual = margin(found.blocks[0].rows)
    usual = float(np.median(usual[np.isfinite(usual)])) if np.isfinite(usual).any() else 0.0
    edges = [block.edges[::2] for block in found.blocks if block.edges is not None and len(block.edges)]
    if not edges:
        return LEAST * usual
    rows = np.vstack(edges)
    found_there = margin(rows)
    wrong = found_there < LEAP * usual
    for name, native in natives.items():
        wrong |= _leapt(dense(native(rows)), np.asarray(programs[name](rows)))
    return max(TIMES * float(np.max(found_there[wrong], initial=0.0)), LEAST * usual)


def _leapt(expected: Array, found: Array) -> NDArray[np.bool_]:
    """Rows that were decided otherwise: with another label, or with numbers that are far off."""
    if expected.shape != found.shape or expected.dtype.kind != "f" or found.dtype.kind != "f":
        return (
            unequal(expected, found) if expected.shape == found.shape else np.ones(len(expected), dtype=np.bool_)
        )
    return _distance(expected, found) > LEAP * _distance(expected, 0.0)


def _distance(one: Any, other: Any) -> Array:
    """The largest difference in each row."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(one - other)
    return np.asarray(np.nan_to_num(difference.reshape(len(difference), -1)).max(axis=1, initial=0.0))


def leaps(native: Method, rows: Array, moving: NDArray[np.bool_], seed: int = 0) -> Array:
    """Rows on both sides of the places where numbers leap, found by halving towards the larger change.

    Arguments like those of `turns`.
    """
    one, other = _pairs(rows, moving, seed, PAIRS)
    if not len(one):
        return one
    first, last = dense(native(one)), dense(native(other))
    for _ in range(HALVED):
        middle = one / 2 + other / 2
        if ((middle == one) | (middle == other)).all():
            break
        found = dense(native(middle))
        nearer = _distance(found, first) >= _distance(last, found)
        one, other = np.where(nearer[:, None], one, middle), np.where(nearer[:, None], middle, other)
        wide = nearer.reshape(-1, *[1] * (found.ndim - 1))
        first, last = np.where(wide, first, found), np.where(wide, found, last)
    leapt = _leapt(first, last)
    return np.vstack([one[leapt], other[leapt]])


def _pairs(rows: Array, moving: NDArray[np.bool_], seed: int, count: int) -> tuple[Array, Array]:
    """Pairs of rows that differ only in columns that can have any number in between."""
    rows = rows[~np.isnan(rows).any(axis=1)]
    if len(rows) < 2 or not moving.any():  # noqa: PLR2004
        return rows[:0], rows[:0]
    one, other = rows[np.random.default_rng(seed).integers(len(rows), size=(2, count))]
    return one, np.where(moving, other, one)


def turns(native: Method, rows: Array, moving: NDArray[np.bool_], seed: int = 0) -> Array:
    """Rows on both sides of the places where the labels of an estimator change, as near as numbers can be.

    Args:
        native: gives labels.
        rows: between which is looked.
        moving: columns that can have any number in between; the others stay.
        seed: of the choice of pairs.
    """
    one, other = _pairs(rows, moving, seed, 4 * PAIRS)
    if not len(one):
        return one
    differ = unequal(native(one), native(other))
    one, other = one[differ][:PAIRS], other[differ][:PAIRS]
    if not len(one):
        return np.asarray(one)
    labels = native(one)
    for _ in range(HALVED):
        middle = one / 2 + other / 2
        if ((middle == one) | (middle == other)).all():
            break
        stays = ~unequal(labels, native(middle))[:, None]
        one, other = np.where(stays, middle, one), np.where(stays, other, middle)
    return np.vstack([one, other])


def _of_block(block: Block, native: Method, program: Method, margin: Method, least: float) -> list[Difference]:
    size, rows = smallest(dense(native(block.rows))), block.every
    rows = rows[margin(rows) > least]
    if not len(rows):
        return []
    expected = dense(native(rows))
    every = max(1, len(rows) // SINGLY)
    alone = np.concatenate([np.asarray(program(rows[[index]])) for index in range(0, len(rows), every)])
    return [difference(expected, np.asarray(program(rows)), size), difference(expected[::every], alone, size)]


def microseconds(call: Callable[[], Any]) -> float:
    """What one call takes, the fastest of many."""
    until = time.perf_counter() + TIMING
    taken: list[float] = []
    while len(taken) < TIMED and (len(taken) < LEAST_TIMED or time.perf_counter() < until):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return round(min(taken) * 1e6, 1)


def names_of(methods: Sequence[ComparedMethod]) -> tuple[str, ...]:
    """The methods that the program may answer."""
    return tuple(compared.method for compared in methods if compared.passes)
