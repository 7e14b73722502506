"""BentoML, with one worker."""

import os

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=1)
class Model:
    """One model."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["MODEL"])

    @bentoml.api
    def predict(self, instances: list) -> dict:
        """The predictions."""
        rows = instances if isinstance(instances[0], str) else np.array(instances)
        return {"predictions": self.model.predict(rows).tolist()}
