"""Predicting: which version answers, and the supervised processes that compute the answer."""
