"""Train the iris pipeline of the tour and save it as a .skops file, and examples of what it answers with it."""

import argparse
import csv
from pathlib import Path

import skops.io
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

ESTIMATORS = {
    "logistic": LogisticRegression(),
    "forest": RandomForestClassifier(random_state=0),
}


def train(estimator: str = "logistic") -> tuple[Pipeline, float, list[str], list[str]]:
    """The fitted pipeline, its score on the held-out quarter, the column names and the species names."""
    iris = load_iris()
    train_x, test_x, train_y, test_y = train_test_split(iris.data, iris.target, random_state=0)
    pipeline = make_pipeline(StandardScaler(), ESTIMATORS[estimator]).fit(train_x, train_y)
    return (
        pipeline,
        pipeline.score(test_x, test_y),
        list(iris.feature_names),
        list(iris.target_names),
    )


def save_examples(pipeline: Pipeline, target: Path) -> None:
    """The rows of the held-out quarter with what the pipeline predicts for them, as CSV."""
    iris = load_iris()
    rows = train_test_split(iris.data, random_state=0)[1]
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["x0", "x1", "x2", "x3", "prediction"])
        writer.writerows([*row, label] for row, label in zip(rows, pipeline.predict(rows), strict=True))


def main() -> None:
    """Train, print the score, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, nargs="?", default=Path("iris.skops"))
    parser.add_argument("--estimator", choices=ESTIMATORS, default="logistic")
    parser.add_argument("--examples", type=Path, help="where to save rows with predictions, as CSV")
    chosen = parser.parse_args()
    pipeline, score, _, _ = train(chosen.estimator)
    skops.io.dump(pipeline, chosen.target)
    print(f"test score {score}")
    print(f"saved {chosen.target}")
    if chosen.examples:
        save_examples(pipeline, chosen.examples)
        print(f"saved {chosen.examples}")


if __name__ == "__main__":
    main()
