"""Computing with one thread: what scikit-learn puts around each task for the sake of several is left out.

A forest hands each of its trees to joblib, wrapped so that a worker would find the caller's configuration and
filters of warnings. A model host is one thread, so the tasks are simply called in their order: the same functions
with the same arguments, in a quarter of the time for one row and a forest of 100 trees.
"""

from collections.abc import Callable, Iterable
from typing import Any

from sklearn.utils import parallel

Task = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Serial:
    """Stands for `sklearn.utils.parallel.Parallel` where there is one thread. Arguments are joblib's."""

    def __init__(self, *_jobs: Any, return_as: str = "list", **_rest: Any) -> None:
        self._return_as = return_as

    def __enter__(self) -> "Serial":
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing is to be ended."""

    def __call__(self, tasks: Iterable[Task]) -> Any:
        """The results of the tasks, in their order."""
        results = (function(*positional, **named) for function, positional, named in tasks)
        return list(results) if self._return_as == "list" else results


def task(function: Callable[..., Any]) -> Callable[..., Task]:
    """Stands for `sklearn.utils.parallel.delayed`: a call that is made later."""

    def delayed(*positional: Any, **named: Any) -> Task:
        return function, positional, named

    return delayed


def compute_serially() -> None:
    """Have all modules of scikit-learn that are imported from now on compute with one thread."""
    parallel.Parallel, parallel.delayed = Serial, task
