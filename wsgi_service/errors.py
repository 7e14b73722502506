"""What can go wrong while a version predicts.

ServingError
├── Busy              no slot or host came free in time
├── TooLate           the client's own time was over before computing began
├── NotWanted         the client has gone
├── ModelQuarantined  it took hosts down too often
├── ModelCrashed      the host died while it worked on this
├── DeadlineExceeded  it took too long, and the host was ended
├── OutOfMemory       the host ran out of memory
├── ResultTooLarge    there are too many numbers in the answer
└── PredictFailed     the estimator raised an exception
"""


class ServingError(Exception):
    """Anything that keeps a version from answering."""


#: What is said where too many wait already, and to who has waited for too long.
TOO_MANY = "Too many requests for this version are waiting already. Try again in a moment."
TOO_LONG = "Everything that could answer is at work. Try again in a moment."


class Busy(ServingError):
    """Everything that could work on this is at work already."""


class TooLate(ServingError):
    """The time that the client gave was over before anything was computed."""


class NotWanted(ServingError):
    """The client has gone, so nothing was computed."""


class ModelQuarantined(ServingError):
    """The version took hosts down too often, and somebody has to lift its quarantine."""


class ResultTooLarge(ServingError):
    """The answer would hold more numbers than are sent."""


class ModelCrashed(ServingError):
    """The process that worked on this died."""


class DeadlineExceeded(ServingError):
    """The work took longer than allowed and was ended."""


class OutOfMemory(ServingError):
    """The work needed more memory than there is.

    Args:
        message: for the person who asked.
        fatal: whether the host had to be ended for it.
    """

    def __init__(self, message: str, fatal: bool = False) -> None:
        super().__init__(message)
        self.fatal = fatal


class PredictFailed(ServingError):
    """The estimator itself refused; its exception is in the server's log."""
