"""What is written of a task: sites at their places, windows of the highest logits, and measures of known labels."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from noncoder.config import InterpretConfig
from noncoder.data.store import Store
from noncoder.interpret import outputs
from noncoder.interpret.choosing import positive_windows, score_split
from noncoder.interpret.job import Job
from noncoder.interpret.motifs.patterns import MotifSite
from noncoder.interpret.outputs import FigureTracks, draw, hits_in, write_tracks
from noncoder.interpret.steps import Skipped, measure_task
from noncoder.metrics import auroc, average_precision
from noncoder.runs.folder import TaskFolder
from tests.evaluate.made import WINDOW, labelled_store, predictor_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return labelled_store(tmp_path_factory.mktemp("outputs") / "data.zarr")


def job_of(folder: Path, store: Store, column: int = 1) -> Job:
    predictor = predictor_of(store)
    config = InterpretConfig(windows=6, mutated=0, method="saliency")
    scored = score_split(predictor, store, None, 64)
    return Job(
        TaskFolder(folder), predictor, column, positive_windows(predictor, store, column, config), scored, store, config
    )


def named(*sites: MotifSite) -> Any:
    pattern = SimpleNamespace(name="neg_0", sites=sites, seqlets=len(sites), core_cwm=np.ones((4, 8)))
    return [SimpleNamespace(name=None, pattern=pattern)]


def test_sites_lie_at_their_places_on_the_genome(tmp_path: Path, store: Store) -> None:
    job = job_of(tmp_path, store)
    sites = MotifSite(2, 7, 15, "-", -4.0), MotifSite(4, 3, 11, "+", 1.0)
    write_tracks(job, job.found, named(*sites))
    rows = [line.split("\t") for line in (tmp_path / "hits.bed").read_text().splitlines()]
    at = [int(job.windows.start[site.row]) for site in sites]
    # Sites that lower the logit score by how much.
    assert rows == [
        ["a", str(at[0] + 7), str(at[0] + 15), "neg_0", "1000", "-"],
        ["a", str(at[1] + 3), str(at[1] + 11), "neg_0", "250", "+"],
    ]
    codes = job.windows.codes
    assert np.array_equal(store.read_stretch(0, int(rows[0][1]), 8), codes[2, 7:15])


def test_the_windows_of_the_highest_logits_are_drawn(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []

    def note(codes: Any, values: Any, hits: Any, tracks: Any, **more: Any) -> Figure:
        drawn.append((codes, hits, more))
        return Figure()

    monkeypatch.setattr(outputs, "plot_window", note)
    job = job_of(tmp_path, store)
    found, skipped = job.found, Skipped()
    best = int(np.argmax(found.logit))
    sites = named(MotifSite(best, 7, 15, "-", 1.0), MotifSite((best + 1) % 6, 1, 9, "+", 1.0))
    draw(job, found, sites, FigureTracks(None, None), skipped)
    assert skipped.steps == []
    codes, hits, more = drawn[0]
    assert np.array_equal(codes, job.windows.codes[best])
    assert hits == hits_in(sites, best)
    assert [(hit.start, hit.end, hit.strand) for hit in hits] == [(7, 15, "-")]
    assert more["place"] == ("a", int(job.windows.start[best]))
    assert more["bin"] == ((WINDOW - store.bin) // 2, (WINDOW + store.bin) // 2)


def test_unknown_labels_count_in_no_measure_of_a_task(tmp_path: Path, store: Store) -> None:
    job = job_of(tmp_path, store, column=4)
    indices = store.indices("test")
    known = store.read_known(indices)
    assert known is not None
    assert not known[:, 4].all()
    kept = indices[known[:, 4]]
    logits = job.predictor.predict_store(store, kept)[:, [4]]
    labels = store.read_labels(kept)[:, [4]]
    assert measure_task(job) == {
        "positives": labels.sum(),
        "auroc": pytest.approx(auroc(logits, labels)[0]),
        "average_precision": pytest.approx(average_precision(logits, labels)[0]),
    }
