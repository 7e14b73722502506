"""Linear models: nothing in them can hurt, but answers can be no numbers."""

from collections.abc import Iterator

import numpy as np

from model_store.formats.rules import Found
from model_store.formats.skops.values.walk import Place

COEFFICIENTS = ("coef_", "intercept_", "dual_coef_", "cluster_centers_", "mean_", "scale_")


def coefficients_are_numbers(place: Place) -> Iterator[Found]:
    """A NaN among the coefficients makes every answer NaN, which is null in JSON."""
    attributes = vars(place.value)
    for name in COEFFICIENTS:
        values = attributes.get(name)
        if isinstance(values, np.ndarray) and values.dtype.kind == "f" and not np.isfinite(values).all():
            where = f"{place.where}.{name}".lstrip(".")
            yield Found(where, "Holds numbers that are not finite, so some answers will be null.", "warning")
