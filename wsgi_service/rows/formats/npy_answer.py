"""An answer as a .npy file: the numbers of a result as they are, without rounding and without names."""

import io

import numpy as np
from werkzeug.exceptions import NotAcceptable

from wsgi_service.rows.answer import Answer


def write(answer: Answer, _row_by_row: bool = False, _spreadsheet: bool = False) -> bytes:
    """The bytes of a .npy file. Raises NotAcceptable for what is not one array, or lacks some rows."""
    (result, *others) = answer.results.values()
    if answer.errors or others or not isinstance(result, np.ndarray) or result.dtype.kind not in "biuf":
        raise NotAcceptable("This answer is not an array of numbers. Ask for JSON or CSV.")
    file = io.BytesIO()
    np.save(file, result, allow_pickle=False)
    return file.getvalue()
