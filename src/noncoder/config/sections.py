"""The sections of a recipe, but for training's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from noncoder.config.base import Section, split_list
from noncoder.config.evaluate import EvaluateConfig
from noncoder.config.interpret import InterpretConfig
from noncoder.config.pack import PackConfig
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
    """Chromosomes and regions; no name of one holds a comma or begins or ends with a blank."""
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
    """Peak files or patterns of them: BED, narrowPeak, broadPeak or MACS's _peaks.xls, plain or gzipped. One file is
    one task, named after the file; an ending that nearly all of the files share is left off."""
    tasks: Path | None = None
    """Task sheet in place of `peaks`: TSV with the columns path and name, and any of group, cell, assay, treatment."""
    aliases: Path | None = None
    """Chromosome aliases: TSV of the peaks' name and the genome's name."""
    window: int = Field(1000, ge=1)
    """Width of the model's input, bp."""
    bin: int = Field(200, ge=1)
    """Width of the labelled centre, bp; bins tile each chromosome from its first base."""
    label: LabelRule = "overlap:0.5"
    """When a bin is positive: `overlap:0.5`, strictly more than half of it lies in peaks (DeepSEA's rule); `summit`,
    a peak's summit (else its midpoint) lies in it."""
    keep: KeepRule = "labelled"
    """Which bins are kept: `labelled`, those positive for a task; `group:NAME`, those that a peak of a task of that
    group overlaps (DeepSEA's rule, with TF); `bed:FILE`, those that the file lists, each as a line of its own; `all`,
    every bin of every chromosome that has a peak."""
    exclude: tuple[Path, ...] = ()
    """BED files of regions; a bin that overlaps one is left out."""
    min_positives: int = Field(0, ge=0)
    """A task with fewer peaks that label a bin is left out; at 0 all are kept, and a file without peaks is an error."""
    valid: Places = ()
    """Validation split: chromosomes, or regions as chrom:start-end (1-based, closed)."""
    test: Places = ()
    """Test split: chromosomes, or regions as chrom:start-end (1-based, closed)."""
    split: Literal["regions", "homology"] = "regions"
    """How the splits are made: `regions`, those of `valid` and `test`, the rest is for training; `homology`, drawn such
    that no window of one split overlaps, equals or nearly equals one of another."""
    valid_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the windows for validation, with `split: homology`."""
    test_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the windows for the test, with `split: homology`."""
    split_block: int = Field(50_000, ge=1)
    """The least length, bp, of the blocks that neighbouring windows are kept together in, with `split: homology`."""
    seed: int = Field(0, ge=0)
    """Draws the splits, with `split: homology`."""
    outside: Literal["error", "drop"] = "error"
    """What to do with a peak that starts before its chromosome or reaches past its end."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.peaks) == bool(self.tasks):
            raise ValueError("give either peaks (files) or tasks (a sheet that names them)")
        if self.split == "homology" and (self.valid or self.test):
            raise ValueError("split homology draws its splits: leave out valid and test, or the split")
        if self.split == "homology" and self.split_block < self.window:
            raise ValueError(f"split_block {self.split_block}: should be at least as wide as the window, {self.window}")
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError("valid_fraction and test_fraction: together they should leave something for training")
        if self.bin > self.window or (self.window - self.bin) % 2:
            raise ValueError(
                f"window {self.window} and bin {self.bin}: the window should be wider by an even number of bp"
            )
        return self


class DeepSeaConfig(Section):
    """How a store is made from the bundle of DeepSEA, or from files of its layout."""

    folder: Path
    """Folder of DeepSEA's bundle: train.mat, valid.mat and test.mat."""
    splits: tuple[Literal["train", "valid", "test"], ...] = ("train", "valid", "test")
    """Which of the bundle's files, separated by commas on the command line."""
    tasks: Path | None = None
    """Task sheet of the bundle: TSV with the column name, and any of group, cell, assay, treatment. By default the 919
    tasks of DeepSEA."""
    bin: int = Field(200, ge=1)
    """Width of the bundle's labelled centre, bp; its windows lie a multiple of that apart."""
    bad_bases: Literal["error", "n"] = "error"
    """What to do with a base of the bundle that is neither one-hot nor zero: `error`, stop; `n`, read it as N."""


class SimulateConfig(Section):
    """How a genome with planted motifs, and so a known truth, is made."""

    windows: int = Field(6000, ge=10)
    """How many bins in all."""
    tasks: int = Field(16, ge=1)
    """How many tasks."""
    window: int = Field(1000, ge=50)
    """Width of the model's input, bp."""
    bin: int = Field(200, ge=20)
    """Width of the labelled centre, bp."""
    chromosomes: int = Field(10, ge=3)
    """How many chromosomes; the last is the test split, the one before it validation."""
    positive_rate: float = Field(0.08, gt=0, lt=0.5)
    """Share of the bins in which each task's rule is planted."""
    decoys: float = Field(0.5, ge=0)
    """Single motifs planted a bin besides those of the rules: the parts of a rule without the whole."""
    label_noise: float = Field(0.01, ge=0, lt=0.5)
    """Share of each task's positives that are turned negative, with as many negatives turned positive."""
    gc: tuple[float, float] = (0.35, 0.50)
    """Lowest and highest GC content; it drifts between them along each chromosome."""
    seed: int = Field(0, ge=0)
    """The same seed makes the same genome."""


class DataConfig(Section):
    """Which store a run reads, and how it is made if it is not there."""

    store: Path | None = None
    """The store; by default data.zarr in the run's folder, made by the section below."""
    build: BuildConfig | None = None
    """Make the store from a genome and peaks."""
    pack: PackConfig | None = None
    """Make the store from a table."""
    deepsea: DeepSeaConfig | None = None
    """Make the store from the bundle of DeepSEA."""
    simulate: SimulateConfig | None = None
    """Make the store by simulation."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.build, self.pack, self.deepsea, self.simulate)) > 1:
            raise ValueError("give at most one of build, pack, deepsea and simulate")
        return self


class ModelConfig(Section):
    """The network."""

    name: str = "compact"
    """Its name; `noncoder models` lists them. Or a class or function in a Python file of your own,
    `path/to/file.py:Class`; the file is then run."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Its own settings; `noncoder models NAME` lists them."""


class ReportConfig(Section):
    """What the report shows."""

    tasks: tuple[str, ...] = ()
    """Tasks whose ROC and PR curves are drawn first; by default the best, the median and the worst."""
    title: str = ""
    """Heading; by default the run's name."""


class RunConfig(Section):
    """A whole recipe."""

    run: Path
    """The run's folder."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seeds the initial weights, the order of the windows, the strands and the dropout."""
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
        """Where the store is or will be."""
        return self.data.store or RunFolder(self.run).store
