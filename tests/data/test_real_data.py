"""What is known of real measurements has to come out; they lie beside the repository and are not part of it."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray

from noncoder.config import BuildConfig, DeepSeaDataConfig, PackConfig
from noncoder.data.deepsea.bundle import pack_deepsea, unpack_deepsea
from noncoder.data.deepsea.deepsea_tasks import deepsea_table
from noncoder.data.info import SPLITS
from noncoder.data.peaks import build_store
from noncoder.data.store import Store
from noncoder.data.table import pack_table
from noncoder.data.tasks import find_tasks
from noncoder.errors import InputError
from noncoder.sequence.encoding import decode, encode
from noncoder.sequence.genome import Genome
from tests.conftest import listing
from tests.data.deepsea.made import both_strands, write_bundle

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
YEAST, HUMAN, DEEPSEA = (DATA / name for name in ("yeast-rossi2021", "human-hesc-chr22", "deepsea-facts"))


def needs(folder: Path) -> None:
    if not folder.is_dir():
        pytest.skip(f"the real data {folder.name} is not beside the repository (../shared/data)")


def yeast(path: Path, min_positives: int) -> Store:
    return build_store(
        BuildConfig(
            genome=YEAST / "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz",
            peaks=(str(YEAST / "peaks/*.bed"),),
            label="summit",
            keep="all",
            min_positives=min_positives,
            valid=("VII", "IX"),
            test=("IV", "XI"),
        ),
        path,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    needs(YEAST)
    return yeast(tmp_path_factory.mktemp("yeast") / "yeast.zarr", min_positives=100)


class TestYeast:
    def test_all_proteins(self, tmp_path: Path) -> None:
        needs(YEAST)
        store = yeast(tmp_path / "all.zarr", min_positives=1)
        assert len(store) == 60_349
        assert store.positives().sum() == 178_805
        assert (store.read_labels(store.indices()).any(axis=1)).sum() == 20_601
        files = list((YEAST / "peaks").glob("*.bed"))
        assert len(files) == 399
        empty = sum(not file.read_text().strip() for file in files)
        left_out = [drop["count"] for drop in store.info.dropped if drop["what"] == "tasks"]
        assert len(store.tasks) == len(files) - sum(left_out)
        assert sum(left_out) >= empty
        assert len(store.info.sources) == 400

    def test_the_257_proteins_and_the_split(self, store: Store) -> None:
        assert len(store.tasks) == 257
        assert {split: store.indices(split).size for split in ("train", "valid", "test")} == {
            "train": 41_703, "valid": 7_653, "test": 10_993,
        }  # fmt: skip
        assert (store.positives("test") >= 30).sum() == 184
        assert (store.positives("valid") >= 30).sum() == 169
        assert "Reb1" in {task.name for task in store.tasks}
        names, _ = store.bins(store.indices("test"))
        assert set(names.tolist()) == {"IV", "XI"}

    def test_each_base_is_stored_once_and_small(self, store: Store) -> None:
        store.check()
        with Genome(YEAST / "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz") as genome:
            assert store.n_bases == sum(length for name, length in genome.lengths.items() if name != "Mito")
            iv = genome.text("IV").upper()
        first = store.indices("test")[0]
        assert decode(store.read_codes([first])[0]) == "N" * 400 + iv[:600]
        assert store.summary()["bytes"] < store.summary()["raw_bytes"] / 20


class TestHumanMarks:
    def config(self, **settings: str) -> BuildConfig:
        return BuildConfig.model_validate(
            {
                "genome": HUMAN / "chr22_part.fa.gz",
                "peaks": (str(HUMAN / "*.bed.gz"),),
                "test": ("22:18,000,001-20,000,000",),
            }
            | settings
        )

    def test_peaks_past_the_end_of_the_part(self, tmp_path: Path) -> None:
        needs(HUMAN)
        with pytest.raises(
            InputError, match=r"H3K.*\.bed\.gz: the peak chr22:.* lies outside its chromosome"
        ) as caught:
            build_store(self.config(), tmp_path / "h.zarr")
        assert "22 has 22,000,000 bp in chr22_part.fa.gz" in caught.value.found
        assert "--outside drop" in caught.value.hint
        assert listing(tmp_path) == []

    def test_dropped_and_said(self, tmp_path: Path) -> None:
        needs(HUMAN)
        store = build_store(self.config(outside="drop"), tmp_path / "h.zarr")
        assert [task.name for task in store.tasks] == ["H3K27ac", "H3K27me3", "H3K4me2", "H3K4me3"]
        assert store.contigs[0] == ("22",)
        rows = [
            line.split("\t")
            for file in HUMAN.glob("*.bed.gz")
            for line in gzip.decompress(file.read_bytes()).decode().splitlines()
        ]
        outside = sum(row[0] == "chr22" and int(row[2]) > 22_000_000 for row in rows)
        elsewhere = sum(row[0] != "chr22" for row in rows)
        counts = {drop["why"]: drop["count"] for drop in store.info.dropped if drop["what"] == "peaks"}
        assert counts["extend beyond the end of their chromosome"] == outside > 0
        assert sum(count for why, count in counts.items() if "label no bin" not in why) == outside + elsewhere
        assert (store.positives() > 0).all()
        _, starts = store.bins(store.indices("test"))
        assert starts.size
        assert ((starts + 100 >= 18_000_000) & (starts + 100 < 20_000_000)).all()


class TestDeepSEA:
    def test_the_hundred_rows(self, tmp_path: Path) -> None:
        needs(DEEPSEA)
        with gzip.open(DEEPSEA / "deepsea_rows100.csv.gz", "rt") as file:
            rows = list(csv.reader(file))
        assert len(rows) == 100
        names = [f"task{i}" for i in range(919)]
        with (tmp_path / "rows.csv").open("w", newline="") as table:
            csv.writer(table).writerows([["sequence", *names], *rows])
        config = PackConfig(table=tmp_path / "rows.csv", label_columns=tuple(names), window=1000)
        store = pack_table(config, tmp_path / "deepsea.zarr")
        store.check()
        assert (len(store), len(store.tasks), store.window) == (100, 919, 1000)
        codes, labels = store.read(store.indices())
        assert [decode(row) for row in codes] == [row[0][3_500:4_500].upper() for row in rows]
        assert np.array_equal(labels, np.array([[int(label) for label in row[1:]] for row in rows]))
        assert store.packed_known is None
        assert [drop["count"] for drop in store.info.dropped] == [100]

    @pytest.fixture
    def rows(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The 100 sequences of 8,000 bp as codes, and their 919 labels."""
        needs(DEEPSEA)
        with gzip.open(DEEPSEA / "deepsea_rows100.csv.gz", "rt") as file:
            rows = list(csv.reader(file))
        codes = np.stack([encode(row[0]) for row in rows])
        return codes, np.array([[int(label) for label in row[1:]] for row in rows], dtype=np.uint8)

    def test_the_hundred_rows_in_the_bundles_layout(
        self, tmp_path: Path, rows: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    ) -> None:
        codes, labels = rows[0][:, 3_500:4_500], rows[1]
        bundle = write_bundle(tmp_path / "bundle", dict.fromkeys(SPLITS, both_strands(codes, labels)))
        store = pack_deepsea(DeepSeaDataConfig(folder=bundle), tmp_path / "s.zarr")
        found = store.read(store.indices("test"))
        np.testing.assert_array_equal(found[0], codes)
        facts = deepsea_table()
        for name, index in zip(facts["name"], facts["index"], strict=True):
            column = find_tasks([name], store.tasks)[0]
            np.testing.assert_array_equal(found[1][:, column], labels[:, index])
        unpack_deepsea(store, tmp_path / "back")
        back = scipy.io.loadmat(tmp_path / "back" / "test.mat")
        x, y = both_strands(codes, labels)
        np.testing.assert_array_equal(back["testxdata"], x)
        np.testing.assert_array_equal(back["testdata"], y)

    def test_windows_of_human_dna_are_stitched_into_the_stretches_they_were_cut_from(
        self, tmp_path: Path, rows: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    ) -> None:
        codes = np.concatenate([[stretch[at : at + 1000] for at in range(0, 7001, 200)] for stretch in rows[0]])
        labels = np.repeat(rows[1], 36, axis=0)
        bundle = write_bundle(tmp_path / "bundle", {"train": both_strands(codes, labels)})
        store = pack_deepsea(DeepSeaDataConfig(folder=bundle, splits=("train",)), tmp_path / "s.zarr")
        np.testing.assert_array_equal(store.read_codes(store.indices()), codes)
        assert store.n_bases == 100 * 8000
        assert store.contigs[2].tolist() == [8000] * 100
