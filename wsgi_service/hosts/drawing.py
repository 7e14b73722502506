"""In a host: pictures of how well a version answers its examples, as SVG."""

import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from model_store.errors import MissingExtra
from model_store.proof.quality import Quality
from model_store.schema import Scalar

MISSING = 'The server lacks matplotlib, which draws. Its operator can add it: pip install "wsgi-service[plots]"'
#: Inches.
SIZE = (4.8, 3.6)
#: Labels up to which each cell of a confusion has its number in it.
NUMBERED = 15
BLUE, DARK = "#3d85b5", 0.5
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "wsgi-service", "text.parse_math": False, "font.size": 10}


def draw(quality: Quality) -> list[str]:
    """One SVG for each thing that can be drawn. Raises MissingExtra."""
    try:
        from matplotlib import rc_context
    except ImportError:
        raise MissingExtra(MISSING, extra="plots") from None
    with rc_context(STYLE):
        return [_svg(paint, quality) for wanted, paint in PICTURES if getattr(quality, wanted) is not None]


def _svg(paint: Callable[[Any, Quality], None], quality: Quality) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    paint(axes, quality)
    axes.spines[["top", "right"]].set_visible(False)
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None})
    return target.getvalue()


def _confusion(axes: Any, quality: Quality) -> None:
    assert quality.confusion is not None  # noqa: S101 - it is drawn because it is there
    labels, counts = quality.confusion.labels, quality.confusion.counts
    most = max(max(row) for row in counts)
    axes.pcolormesh(counts, cmap="Blues", vmin=0, vmax=max(1, most), edgecolors="#9fb3c2", linewidth=0.5)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    names = [_short(label) for label in labels]
    axes.set_xticks([index + 0.5 for index in range(len(labels))], names, rotation=30, ha="right")
    axes.set_yticks([index + 0.5 for index in range(len(labels))], names)
    axes.set_xlabel("answered")
    axes.set_ylabel("expected")
    if len(labels) <= NUMBERED:
        for row, line in enumerate(counts):
            for column, count in enumerate(line):
                colour = "#ffffff" if count > DARK * most else "#12181e"
                axes.text(column + 0.5, row + 0.5, str(count), ha="center", va="center", color=colour)


def _residuals(axes: Any, quality: Quality) -> None:
    axes.axhline(0, color="#888888", linewidth=1)
    axes.plot(quality.expected, quality.residuals, "o", markersize=3.5, color=BLUE, alpha=0.7)
    axes.set_xlabel("expected")
    axes.set_ylabel("answered − expected")


def _scores(axes: Any, quality: Quality) -> None:
    assert quality.scores is not None  # noqa: S101 - they are drawn because they are there
    edges = quality.scores.edges
    widths = [right - left for left, right in pairwise(edges)]
    axes.bar(edges[:-1], quality.scores.counts, widths, align="edge", color=BLUE, edgecolor="#ffffff")
    axes.set_xlabel(quality.scores.of)
    axes.set_ylabel("examples")


PICTURES: tuple[tuple[str, Callable[[Any, Quality], None]], ...] = (
    ("confusion", _confusion), ("residuals", _residuals), ("scores", _scores),
)  # fmt: skip


def _short(label: Scalar) -> str:
    text = str(label)
    return text if len(text) <= 16 else text[:15] + "…"  # noqa: PLR2004
