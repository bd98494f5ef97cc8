"""The sections of a recipe, except those on training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from noncoder.config.evaluate_config import EvaluateConfig
from noncoder.config.interpret_config import InterpretConfig
from noncoder.config.pack import PackConfig
from noncoder.config.section import Section, split_list
from noncoder.config.training import TrainConfig
from noncoder.runs.folder import RunFolder


def _label_rule(rule: str) -> str:
    if rule == "summit":
        return rule
    kind, _, fraction = rule.partition(":")
    try:
        if kind == "overlap" and 0 <= float(fraction) < 1:
            return rule
    except ValueError:
        pass
    raise ValueError("should be 'summit' or 'overlap:F' with F from 0 to below 1, e.g. overlap:0.5")


def _keep_rule(rule: str) -> str:
    kind, _, what = rule.partition(":")
    if rule in ("all", "labelled") or (kind in ("group", "bed") and what):
        return rule
    raise ValueError("should be 'all', 'labelled', 'group:NAME' or 'bed:FILE'")


def _places(value: Any) -> Any:
    """Chromosomes and regions; their names contain no comma and have no blank at either end."""
    if not isinstance(value, list | tuple):
        return value
    return tuple(part for item in value for part in (split_list(item) if isinstance(item, str) else [item]))


LabelRule = Annotated[str, AfterValidator(_label_rule)]
KeepRule = Annotated[str, AfterValidator(_keep_rule)]
Places = Annotated[tuple[str, ...], BeforeValidator(_places)]


class BuildConfig(Section):
    """How a store is made from a genome and peak files."""

    genome: Path
    """FASTA file: plain, gzipped or bgzipped."""
    peaks: tuple[str, ...] = ()
    """Peak files or glob patterns: BED, narrowPeak, broadPeak or MACS's _peaks.xls, plain or gzipped. Each file is one
    task, named after the file; a suffix shared by nearly all files is removed."""
    tasks: Path | None = None
    """Task sheet in place of `peaks`: TSV with the columns path and name, and any of group, cell, assay, treatment."""
    aliases: Path | None = None
    """Chromosome aliases: TSV with the peaks' name and the genome's name."""
    window: int = Field(1000, ge=1)
    """Width of the model's input, bp."""
    bin: int = Field(200, ge=1)
    """Width of the labelled centre, bp; bins tile each chromosome from its first base."""
    label: LabelRule = "overlap:0.5"
    """When a bin is positive: `overlap:0.5`, if strictly more than half of it lies in peaks (DeepSEA's rule);
    `summit`, if a peak's summit (else its midpoint) lies in it."""
    keep: KeepRule = "labelled"
    """Which bins are kept: `labelled`, those positive for a task; `group:NAME`, those overlapped by a peak of a task
    of this group (DeepSEA's rule, with TF); `bed:FILE`, those listed in the file, one bin per line; `all`, every bin
    of every chromosome that has a peak."""
    exclude: tuple[Path, ...] = ()
    """BED files of excluded regions; a bin that overlaps one is left out."""
    min_positives: int = Field(0, ge=0)
    """Leave out tasks with fewer peaks that label a bin; at 0 all tasks are kept, and a file without peaks is an
    error."""
    valid: Places = ()
    """Validation split: chromosomes, or regions as chrom:start-end (1-based, closed)."""
    test: Places = ()
    """Test split: chromosomes, or regions as chrom:start-end (1-based, closed)."""
    split: Literal["regions", "homology"] = "regions"
    """How the splits are made: `regions`, by `valid` and `test`, with the rest for training; `homology`, drawn so that
    no window overlaps, equals or nearly equals a window of another split."""
    valid_fraction: float = Field(0.1, ge=0, lt=1)
    """Fraction of the windows for validation, with `split: homology`."""
    test_fraction: float = Field(0.1, ge=0, lt=1)
    """Fraction of the windows for the test split, with `split: homology`."""
    split_block: int = Field(50_000, ge=1)
    """Shortest length, bp, of the blocks in which neighbouring windows stay together, with `split: homology`."""
    seed: int = Field(0, ge=0)
    """Random seed of the splits, with `split: homology`."""
    outside: Literal["error", "drop"] = "error"
    """What to do with a peak that starts before its chromosome or reaches past its end."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.peaks) == bool(self.tasks):
            raise ValueError("give either peaks (files) or tasks (a sheet that names them)")
        if self.split == "homology" and (self.valid or self.test):
            raise ValueError("split homology draws its splits: leave out valid and test, or leave out split")
        if self.split == "homology" and self.split_block < self.window:
            raise ValueError(f"split_block {self.split_block}: should be at least as wide as the window, {self.window}")
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError("valid_fraction and test_fraction: together they should leave something for training")
        if self.bin > self.window or (self.window - self.bin) % 2:
            raise ValueError(
                f"window {self.window} and bin {self.bin}: the window should be wider by an even number of bp"
            )
        return self


class DeepSeaDataConfig(Section):
    """How a store is made from the DeepSEA bundle, or from files with its layout."""

    folder: Path
    """Folder of the DeepSEA bundle: train.mat, valid.mat and test.mat."""
    splits: tuple[Literal["train", "valid", "test"], ...] = ("train", "valid", "test")
    """Which of the bundle's files to read; separated by commas on the command line."""
    tasks: Path | None = None
    """Task sheet of the bundle: TSV with the column name, and any of group, cell, assay, treatment. By default the 919
    tasks of DeepSEA."""
    bin: int = Field(200, ge=1)
    """Width of the bundle's labelled centre, bp; distances between its windows are multiples of this."""
    bad_bases: Literal["error", "n"] = "error"
    """What to do with a base of the bundle that is neither one-hot nor zero: `error`, stop; `n`, read it as N."""


class SimulateConfig(Section):
    """How a genome with planted motifs, and so a known truth, is simulated."""

    windows: int = Field(6000, ge=10)
    """Number of bins."""
    tasks: int = Field(16, ge=1)
    """Number of tasks."""
    window: int = Field(1000, ge=50)
    """Width of the model's input, bp."""
    bin: int = Field(200, ge=20)
    """Width of the labelled centre, bp."""
    chromosomes: int = Field(10, ge=3)
    """Number of chromosomes; the last is the test split, the one before it validation."""
    positive_rate: float = Field(0.08, gt=0, lt=0.5)
    """Fraction of the bins in which each task's rule is planted."""
    decoys: float = Field(0.5, ge=0)
    """Single motifs planted per bin in addition to the rules: parts of a rule without the rest of it."""
    label_noise: float = Field(0.01, ge=0, lt=0.5)
    """Fraction of each task's positives that become negative; as many negatives become positive."""
    gc: tuple[float, float] = (0.35, 0.50)
    """Lowest and highest GC content; it drifts between them along each chromosome."""
    seed: int = Field(0, ge=0)
    """Random seed; the same seed gives the same genome."""


class DataConfig(Section):
    """Which store a run reads, and how to make it if it does not exist."""

    store: Path | None = None
    """Path of the store; by default data.zarr in the run's folder, made by the section below."""
    build: BuildConfig | None = None
    """Make the store from a genome and peaks."""
    pack: PackConfig | None = None
    """Make the store from a table."""
    deepsea: DeepSeaDataConfig | None = None
    """Make the store from the DeepSEA bundle."""
    simulate: SimulateConfig | None = None
    """Make the store by simulation."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.build, self.pack, self.deepsea, self.simulate)) > 1:
            raise ValueError("give at most one of build, pack, deepsea and simulate")
        return self


class ModelConfig(Section):
    """The network and its settings."""

    name: str = "compact"
    """Name of the network; `noncoder models` lists the names. Or a class or function in your own Python file,
    `path/to/file.py:Class`; the file is then executed."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Settings of the network; `noncoder models NAME` lists them."""


class ReportConfig(Section):
    """Settings of the report."""

    tasks: tuple[str, ...] = ()
    """Tasks whose ROC and PR curves are drawn first; by default the best, the median and the worst."""
    title: str = ""
    """Heading; by default the run's name."""


class RunConfig(Section):
    """A complete recipe."""

    run: Path
    """Folder of the run."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Random seed of the initial weights, the order of the windows, the strands and the dropout."""
    data: DataConfig = DataConfig()
    """The dataset."""
    model: ModelConfig = ModelConfig()
    """The network."""
    train: TrainConfig = TrainConfig()
    """Training."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """Evaluation."""
    interpret: InterpretConfig = InterpretConfig()
    """Interpretation."""
    report: ReportConfig = ReportConfig()
    """The report."""

    @property
    def store(self) -> Path:
        """Path of the store, whether it exists or not."""
        return self.data.store or RunFolder(self.run).store
