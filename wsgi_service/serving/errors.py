"""What can go wrong while a version predicts.

ServingError
├── Busy              no slot or host came free in time
├── ModelCrashed      the host died while it worked on this
├── DeadlineExceeded  it took too long, and the host was ended
├── OutOfMemory       the host ran out of memory
└── PredictFailed     the estimator raised an exception
"""


class ServingError(Exception):
    """Anything that keeps a version from answering."""


class Busy(ServingError):
    """Everything that could work on this is at work already."""


class ModelCrashed(ServingError):
    """The process that worked on this died."""


class DeadlineExceeded(ServingError):
    """The work took longer than allowed and was ended."""


class OutOfMemory(ServingError):
    """The work needed more memory than there is."""


class PredictFailed(ServingError):
    """The estimator itself refused; its exception is in the server's log."""
