"""The recipe that rebuilds DeepSEA's data, on a genome and peaks made up for it."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from noncoder.config import read_recipe
from noncoder.data.bed import read_bed
from noncoder.data.deepsea.deepsea_tasks import deepsea_table, deepsea_tasks
from noncoder.data.peak_files import read_task_sheet
from noncoder.data.peaks import build_store
from noncoder.sequence.builds import chromosome_lengths
from tests.conftest import write_fasta

RECIPE = Path(__file__).parents[3] / "recipes/deepsea/rebuild.yaml"
# As long as validation needs it; the rest of the chromosomes may be short.
LENGTHS = {"chr1": 10_000, "chr7": 35_400_000, "chr8": 5_000, "chr9": 5_000, "chrX": 3_000}


def test_its_sheet_is_the_table_of_facts() -> None:
    paths, tasks = read_task_sheet(RECIPE.with_name("rebuild-tasks.tsv"))
    assert tuple(tasks) == deepsea_tasks()
    assert [path.name for path in paths] == [f"{name}.gz" for name in deepsea_table()["peaks"]]


def test_what_it_leaves_out_reaches_to_the_ends_of_hg19s_chromosomes() -> None:
    unused = read_bed(RECIPE.with_name("rebuild-unused.bed"))
    ends = dict(zip([unused.chroms[i] for i in unused.chrom], unused.end.tolist(), strict=True))
    assert ends == {f"chr{name}": chromosome_lengths("hg19")[name] for name in ("7", "X", "Y")}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hg19")
    write_fasta(folder / "hg19.fa", {name: "ACGT" * (length // 4) for name, length in LENGTHS.items()}, width=1000)
    shutil.copy(RECIPE.with_name("rebuild-tasks.tsv"), folder)
    (folder / "peaks").mkdir()
    lines = {
        # DNase: a bin of its own, which is not kept, as no TF peak touches it.
        0: [("chr1", 1_000, 1_200), ("chr1", 2_000, 2_101)],
        # A TF: one base touches a bin, which is kept without a label; validation, test, and what is in no split.
        200: [("chr1", 2_199, 2_400), ("chr7", 30_509_000, 30_509_200), ("chr8", 400, 600), ("chr9", 0, 200),
              ("chr7", 35_300_000, 35_300_200), ("chrX", 200, 400)],
    }  # fmt: skip
    for i, name in enumerate(deepsea_table()["peaks"]):
        rows = lines.get(i, [("chr1", 2_400, 2_500 + i % 2)])
        text = "".join(f"{c}\t{s}\t{e}\t.\t0\t.\t1\t-1\t-1\t{(e - s) // 2}\n" for c, s, e in rows)
        (folder / "peaks" / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def test_the_documented_rule(sources: Path, tmp_path: Path) -> None:
    changed = [f"data.build.genome={sources / 'hg19.fa'}", f"data.build.tasks={sources / 'rebuild-tasks.tsv'}"]
    config = read_recipe(RECIPE, [*changed, f"data.build.exclude={RECIPE.with_name('rebuild-unused.bed')}"])
    assert config.data.build is not None
    store = build_store(config.data.build, tmp_path / "s.zarr")
    assert store.tasks == deepsea_tasks()
    assert (store.window, store.bin) == (1000, 200)
    table = pl.DataFrame(dict(zip(("chrom", "start"), store.bins(store.indices()), strict=True)))
    table = table.with_columns(split=store.split)
    assert table.rows() == [
        ("chr1", 2_000, 0), ("chr1", 2_200, 0), ("chr1", 2_400, 0), ("chr7", 30_509_000, 1),
        ("chr8", 400, 2), ("chr9", 0, 2),
    ]  # fmt: skip
    labels = store.read_labels(store.indices())
    # 101 bp of DNase in the first bin; one base of the TF there is too little for its label.
    assert np.flatnonzero(labels[0]).tolist() == [0]
    assert np.flatnonzero(labels[1]).tolist() == [200]
    assert np.flatnonzero(labels[2]).tolist() == [i for i in range(919) if i % 2]  # strictly more than half of the bin
    assert dict(store.info.dropped[-2])["what"] == "bins"
