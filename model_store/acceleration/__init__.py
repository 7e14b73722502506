"""Verified acceleration: an estimator as an ONNX program, and the proof that both answer the same.

`accelerate.py` is the way from one to the other: `conversion.py` makes programs (`trees.py` those of tree
ensembles), `probes.py` rows that an estimator is likely to tell apart, `proof.py` compares, `report.py` says it.
"""
