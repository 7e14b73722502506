"""Support vector machines: libsvm takes every length on trust."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier

from model_store.formats.rules import Breach, Found
from model_store.formats.skops.values.walk import Place

KERNELS = ("linear", "poly", "rbf", "sigmoid", "precomputed")


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
    vectors, counts = machine.support_vectors_, machine._n_support
    number = vectors.shape[0]
    classes = len(machine.classes_) if is_classifier(machine) else 2
    pairs = classes * (classes - 1) // 2
    rows = classes - 1
    if not (callable(machine.kernel) or machine.kernel in KERNELS):
        return "The kernel is not one of libsvm's."
    if (classes < 2 and is_classifier(machine)) or len(counts) != classes or counts.min() < 0:  # noqa: PLR2004
        return "There is not one count of support vectors for each class."
    if is_classifier(machine) and counts.sum() != number:
        return "The counts of support vectors do not add up to their number."
    if not _same_numbers(machine, number):
        return "Support vectors, their indices and their coefficients are not equally many."
    if machine._dual_coef_.shape != (rows if is_classifier(machine) else 1, number):
        return "The coefficients are not one row for each class but the first."
    if machine._intercept_.shape != (pairs if is_classifier(machine) else 1,):
        return "There is not one intercept for each pair of classes."
    if not _probabilities_fit(machine, pairs):
        return "The parameters of the probabilities do not fit the classes."
    return None if _widths_fit(machine, vectors) else "The support vectors have another width than the rows."


def _same_numbers(machine: Any, number: int) -> bool:
    support = machine.support_
    indices_fit = not len(support) or (support.min() >= 0 and support.max() < machine.shape_fit_[0])
    dense = isinstance(machine.support_vectors_, np.ndarray) and isinstance(machine._dual_coef_, np.ndarray)
    whole = dense or (
        sparse.issparse(machine.support_vectors_)
        and machine.support_vectors_.format == "csr"
        and sparse.issparse(machine._dual_coef_)
        and machine._dual_coef_.format == "csr"
        and machine._dual_coef_.nnz == number * machine._dual_coef_.shape[0]
    )
    return len(support) == number and indices_fit and whole and bool(machine._sparse) != dense


def _probabilities_fit(machine: Any, pairs: int) -> bool:
    first, second = machine._probA, machine._probB
    if not is_classifier(machine):
        return len(first) in (0, 1) and len(second) in (0, len(first))
    return len(first) == len(second) and len(first) in (0, pairs)


def _widths_fit(machine: Any, vectors: Any) -> bool:
    """Rows are as wide as the estimator says, or as the number of rows it was fitted on if the kernel is given."""
    if callable(machine.kernel) or machine.kernel == "precomputed":
        return vectors.shape[1] == 0 or vectors.shape[1] in (machine.shape_fit_[0], machine.n_features_in_)
    return bool(vectors.shape[1] == machine.n_features_in_)
