"""Support vector machines: libsvm takes every length on trust."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier

from model_store.formats.rules import Breach, Found
from model_store.formats.skops.values.walk import Place

BUILT_IN = ("linear", "poly", "rbf", "sigmoid")


def support_vectors_agree_with_each_other(place: Place) -> Iterator[Found]:
    """Libsvm reads as many vectors, coefficients and intercepts as the other arrays make it expect."""
    machine = place.value
    if not hasattr(machine, "support_vectors_"):
        return
    for name in ("_impl", "_sparse_kernels"):
        if name in vars(machine):
            raise Breach(place.where, f"The file sets {name}, which belongs to the class.")
    try:
        wrong = _fault(machine)
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise Breach(
            place.where, "An array of the support vector machine is missing or of another kind."
        ) from error
    if wrong:
        yield Found(place.where, wrong)


def _fault(machine: Any) -> str | None:
    return _kernel_fault(machine) or _counts_fault(machine) or _lengths_fault(machine)


def _kernel_fault(machine: Any) -> str | None:
    """A kernel that is given, or a function, compares rows with those it was fitted on, by their number."""
    if _is_built_in(machine):
        same = machine.support_vectors_.shape[1] == machine.n_features_in_
        return None if same else "The support vectors have another width than the rows."
    if machine._sparse or machine.support_vectors_.size:
        return "A machine with a kernel of another kind has no support vectors of its own, and is not sparse."
    if machine.kernel == "precomputed":
        return None if machine.shape_fit_[0] == machine.n_features_in_ else "The kernel has another width."
    fitted = machine._BaseLibSVM__Xfit
    known = callable(machine.kernel) and machine.kernel.__module__ == "sklearn.metrics.pairwise"
    if not known or type(fitted) is not np.ndarray or fitted.shape != tuple(machine.shape_fit_):
        return "The kernel is not one of libsvm's or scikit-learn's, or its rows are missing."
    return None


def _is_built_in(machine: Any) -> bool:
    return not callable(machine.kernel) and machine.kernel in BUILT_IN


def _counts_fault(machine: Any) -> str | None:
    counts = machine._n_support
    classes = len(machine.classes_) if is_classifier(machine) else 2
    if classes < 2 or len(counts) != classes or counts.min() < 0:  # noqa: PLR2004
        return "There is not one count of support vectors for each class."
    if is_classifier(machine) and counts.sum() != len(machine.support_):
        return "The counts of support vectors do not add up to their number."
    return None


def _lengths_fault(machine: Any) -> str | None:
    classes = len(machine.classes_) if is_classifier(machine) else 2
    number, pairs = len(machine.support_), classes * (classes - 1) // 2
    support = machine.support_
    if number and not (support.min() >= 0 and support.max() < machine.shape_fit_[0]):
        return "A support vector is none of the rows that the machine was fitted on."
    if _is_built_in(machine) and machine.support_vectors_.shape[0] != number:
        return "Support vectors and their indices are not equally many."
    if machine._dual_coef_.shape != (classes - 1, number) or not _is_stored_whole(machine):
        return "The coefficients are not one row for each class but the first."
    if machine._intercept_.shape != (pairs,):
        return "There is not one intercept for each pair of classes."
    return None if _probabilities_fit(machine, pairs) else "The parameters of the probabilities do not fit."


def _is_stored_whole(machine: Any) -> bool:
    """Dense arrays, or sparse ones in rows with every coefficient there, as the machine says."""
    vectors, coefficients = machine.support_vectors_, machine._dual_coef_
    if not machine._sparse:
        return type(vectors) is np.ndarray and type(coefficients) is np.ndarray
    stored = all(sparse.issparse(part) and part.format == "csr" for part in (vectors, coefficients))
    return stored and coefficients.nnz == math.prod(coefficients.shape)


def _probabilities_fit(machine: Any, pairs: int) -> bool:
    first, second = machine._probA, machine._probB
    if not is_classifier(machine):
        return len(first) in (0, 1) and len(second) in (0, len(first))
    return len(first) == len(second) and len(first) in (0, pairs)
