"""Train the iris pipeline of the tour and save it as a .skops file."""

import argparse
from pathlib import Path

import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def train() -> tuple[Pipeline, float, list[str], list[str]]:
    """The fitted pipeline, its score on the held-out quarter, the column names and the species names."""
    iris = load_iris()
    train_x, test_x, train_y, test_y = train_test_split(iris.data, iris.target, random_state=0)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(train_x, train_y)
    return (
        pipeline,
        pipeline.score(test_x, test_y),
        list(iris.feature_names),
        list(iris.target_names),
    )


def main() -> None:
    """Train, print the score, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, nargs="?", default=Path("iris.skops"))
    target = parser.parse_args().target
    pipeline, score, _, _ = train()
    skops.io.dump(pipeline, target)
    print(f"test score {score}")
    print(f"saved {target}")


if __name__ == "__main__":
    main()
