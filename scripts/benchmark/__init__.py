"""The benchmark: `scripts/bench.py` runs it; each module is one part of it."""
