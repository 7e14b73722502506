"""A model registry and prediction server for scikit-learn models, over plain WSGI."""

__version__ = "0.1.0"
