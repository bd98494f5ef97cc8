"""Times logos: a figure of 1,000 bp against logomaker (pip install logomaker), and a page of small ones in a browser.

    python benchmarks/logos.py [--length 1000] [--logos 300] [--repeats 5]

Both draw the same matrix, a letter at each position, on a figure of the same size, and save it as SVG and as PNG of
160 dpi; logomaker's is shown for a matrix of all four bases too. The page holds logos of random motifs; the clock runs
from the command to open it in a fresh headless Chromium until two frames are drawn, and an empty page is timed beside.
"""

from __future__ import annotations

import argparse
import importlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser import CHROMIUM, browser

from noncoder import plots

Floats = NDArray[np.floating[Any]]
FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
STYLE = '<meta charset="utf-8"><style>.logo { display: inline-block; margin: 4px; }</style>'


def ours(matrix: Floats, kind: str) -> None:
    plots.plot_contribution_logo(matrix).savefig(io.BytesIO(), format=kind, dpi=160)


def theirs(matrix: Floats, kind: str) -> None:
    logomaker, pandas = importlib.import_module("logomaker"), importlib.import_module("pandas")
    figure = Figure(figsize=(9.6, 1.9), layout="constrained")
    logomaker.Logo(pandas.DataFrame(matrix.T, columns=list("ACGT")), ax=figure.add_subplot())
    figure.savefig(io.BytesIO(), format=kind, dpi=160)


def seconds(work: Callable[[], object], repeats: int) -> str:
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return f"{statistics.median(took):.3f} s ({min(took):.3f} to {max(took):.3f})"


def paint(page: Path) -> float:
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as opened:
        opened.resize(1200, 1000)
        began = time.perf_counter()
        opened.open(page)
        opened.run(FRAMES)
        return time.perf_counter() - began


def main() -> None:
    """Draws the logos, then the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=1000)
    parser.add_argument("--logos", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(4, options.length))
    one = plots.observed_heights(rng.integers(0, 4, options.length), whole[0])
    for name, matrix in (("a letter a position", one), ("four letters a position", whole)):
        for kind in ("svg", "png"):
            for who, draw in (("noncoder", ours), ("logomaker", theirs)):
                draw(matrix[:, :5], kind)
                repeats = options.repeats if who == "noncoder" else min(3, options.repeats)
                print(f"{options.length} bp, {name}, {kind}, {who}: {seconds(partial(draw, matrix, kind), repeats)}")
    motifs = [plots.information_heights(rng.dirichlet(np.full(4, 0.3), 16).T) for _ in range(options.logos)]
    began = time.perf_counter()
    drawn = [plots.logo_svg(heights, 2.0) for heights in motifs]
    took = time.perf_counter() - began
    print(f"{options.logos} small logos of 16 bp: {1000 * took / options.logos:.2f} ms and "
          f"{sum(map(len, drawn)) / options.logos:.0f} bytes each")  # fmt: skip
    if CHROMIUM is None:
        sys.exit("no Chromium is installed")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("no logo", ""), (f"{options.logos} logos", "".join(drawn))):
            page = Path(folder) / "page.html"
            page.write_text(STYLE + content)
            painted = sorted(paint(page) for _ in range(options.repeats))
            print(f"a page of {name}: {statistics.median(painted):.2f} s ({painted[0]:.2f} to {painted[-1]:.2f})")


if __name__ == "__main__":
    main()
