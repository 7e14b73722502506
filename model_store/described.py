"""A model that is no scikit-learn estimator: it says itself what it takes and gives."""

from abc import ABC, abstractmethod

from model_store.schema import Schema


class SelfDescribed(ABC):
    """The base of such models; each also has some of `methods.METHODS`, for an array of rows x columns."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What the model is, in place of a class's name."""

    @property
    def row_by_row(self) -> bool:
        """Whether an answer for a row does not depend on the rows beside it."""
        return False

    @property
    @abstractmethod
    def schema(self) -> Schema:
        """Inputs, outputs and classes."""

    @property
    def adds_up(self) -> bool:
        """Whether the probabilities of a row, where there are some, add up to 1."""
        return True

    @property
    def names_of_scores(self) -> tuple[str, ...]:
        """Methods that give the same numbers, of which the first is what they are if they make sense as such."""
        return ()
