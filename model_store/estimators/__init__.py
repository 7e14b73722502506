"""Reading fitted estimators. These modules import scikit-learn and so run in model hosts and notebooks only."""
