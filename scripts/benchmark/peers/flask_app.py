"""Flask, as the tutorials have it."""

import os

import joblib
import numpy as np
from flask import Flask, jsonify, request

model = joblib.load(os.environ["MODEL"])
app = Flask(__name__)


@app.post("/predict")
def predict():
    """The predictions."""
    instances = request.get_json()["instances"]
    rows = instances if isinstance(instances[0], str) else np.array(instances)
    return jsonify(predictions=model.predict(rows).tolist())
