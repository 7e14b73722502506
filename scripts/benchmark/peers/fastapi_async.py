"""FastAPI with an async endpoint, which computes in the event loop."""

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load(os.environ["MODEL"])
app = FastAPI()


class Body(BaseModel):
    """Rows."""

    instances: list


@app.post("/predict")
async def predict(body: Body):
    """The predictions."""
    rows = body.instances if isinstance(body.instances[0], str) else np.array(body.instances)
    return {"predictions": model.predict(rows).tolist()}
