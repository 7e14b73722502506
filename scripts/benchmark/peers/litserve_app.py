"""LitServe with its batching."""

import os
import sys

import joblib
import litserve
import numpy as np


class Api(litserve.LitAPI):
    """One model."""

    def setup(self, device):  # noqa: ARG002 - its signature
        """Load it."""
        self.model = joblib.load(os.environ["MODEL"])

    def decode_request(self, request):
        """Rows of a request."""
        return request["instances"]

    def batch(self, inputs):
        """Rows of several requests, and how many each has."""
        return inputs

    def predict(self, inputs):
        """The predictions of each request."""
        joined = [row for rows in inputs for row in rows]
        found = self.model.predict(joined if isinstance(joined[0], str) else np.array(joined)).tolist()
        parts = []
        for rows in inputs:
            parts.append(found[: len(rows)])
            found = found[len(rows) :]
        return parts

    def unbatch(self, output):
        """One answer for each request."""
        return output

    def encode_response(self, output):
        """The answer."""
        return {"predictions": output}


if __name__ == "__main__":
    api = Api(max_batch_size=16, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
