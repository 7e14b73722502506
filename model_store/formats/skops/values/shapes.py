"""Sizes that must be plausible, and arrays that must stay within themselves."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from model_store.formats.rules import Found
from model_store.formats.skops.values.walk import Place

#: Columns of a table, and classes of a classifier: each is part of the schema that is kept and shown.
MAX_WIDTH = 100_000
MAX_CLASSES = 100_000
MAX_DEGREE = 20


def widths_are_plausible(place: Place) -> Iterator[Found]:
    """A claim of a billion columns would be believed by everything that describes or checks rows."""
    width = vars(place.value).get("n_features_in_")
    if width is not None and not (_is_whole(width) and 1 <= width <= MAX_WIDTH):
        yield Found(place.where, f"n_features_in_ is not a number of columns from 1 to {MAX_WIDTH}.")


def classes_are_few(place: Place) -> Iterator[Found]:
    """Classes are listed in the schema, and each has its number in each row of probabilities."""
    classes = vars(place.value).get("classes_")
    if isinstance(classes, np.ndarray) and classes.size > MAX_CLASSES:
        yield Found(place.where, f"There are more than {MAX_CLASSES} classes.")


def sparse_matrices_stay_within_themselves(place: Place) -> Iterator[Found]:
    """Scipy's compiled code follows the indices of a sparse matrix without looking."""
    matrix = place.value
    try:
        if matrix.format in ("csr", "csc", "bsr"):
            _check_pointers(matrix)
            matrix.check_format(full_check=True)
        elif matrix.format == "dia":
            _check_diagonals(matrix)
        elif matrix.format == "coo":
            _check_coordinates(matrix)
        else:
            yield Found(place.where, "A sparse matrix is in a form that fitted estimators do not use.")
    except (ValueError, TypeError, AttributeError, IndexError):
        yield Found(place.where, "A sparse matrix has indices that lead out of it.")


def masked_arrays_are_results_of_searches(place: Place) -> Iterator[Found]:
    """A mask hides numbers from every rule, and compiled code sees them; only searches keep such arrays."""
    if not re.fullmatch(r"(.*\.)?cv_results_\[[^\]]*\]", place.where):
        yield Found(place.where, "A masked array stands where scikit-learn has a plain one.")


def splines_have_their_knots(place: Place) -> Iterator[Found]:
    """The evaluation of a spline reads as many knots and coefficients as its degree asks for."""
    knots, values, degree = (getattr(place.value, name, None) for name in "tck")
    if not _is_spline(knots, values, degree):
        yield Found(place.where, "A spline's knots, coefficients and degree do not fit each other.")


def thresholds_are_as_many_as_values(place: Place) -> Iterator[Found]:
    """An interpolation reads one value for each threshold."""
    ends = [np.shape(vars(place.value).get(name, ())) for name in ("X_thresholds_", "y_thresholds_")]
    if ends[0] != ends[1]:
        yield Found(place.where, "X_thresholds_ and y_thresholds_ are not equally many.")


def _check_pointers(matrix: Any) -> None:
    """The index pointers, which scipy itself does not look at where there are no values."""
    pointers = np.asarray(matrix.indptr).astype(np.int64)
    if pointers[0] != 0 or pointers[-1] > len(matrix.indices) or (np.diff(pointers) < 0).any():
        raise ValueError("out of range")


def _check_diagonals(matrix: Any) -> None:
    offsets, (rows, columns) = np.asarray(matrix.offsets).astype(np.int64), matrix.shape
    unique = len(np.unique(offsets)) == len(offsets) == len(matrix.data)
    if not unique or (offsets <= -rows).any() or (offsets >= columns).any():
        raise ValueError("out of range")


def _check_coordinates(matrix: "sparse.coo_matrix") -> None:
    for indices, length in zip(matrix.coords, matrix.shape, strict=True):
        if len(indices) and not (indices.min() >= 0 and indices.max() < length):
            raise ValueError("out of range")


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_spline(knots: Any, values: Any, degree: Any) -> bool:
    if not (isinstance(knots, np.ndarray) and isinstance(values, np.ndarray) and knots.ndim == 1 <= values.ndim):
        return False
    if not (_is_whole(degree) and 0 <= degree <= MAX_DEGREE and knots.dtype == values.dtype == np.float64):
        return False
    needed = len(knots) - degree - 1
    return bool(len(values) >= needed > degree and np.isfinite(knots).all() and (np.diff(knots) >= 0).all())
