"""Recipes: frozen sections, read from YAML, overridden by dotted keys.

A field's docstring is also its help on the command line and its comment in a written recipe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from noncoder.errors import ConfigError, did_you_mean


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
    if rule in ("all", "labelled") or (rule.startswith("group:") and len(rule) > 6):
        return rule
    raise ValueError("should be 'all', 'labelled' or 'group:NAME'")


LabelRule = Annotated[str, AfterValidator(_label_rule)]
KeepRule = Annotated[str, AfterValidator(_keep_rule)]


class Section(BaseModel):
    """A frozen part of a recipe; a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


S = TypeVar("S", bound=Section)


class BuildConfig(Section):
    """How a store is made from a genome and peak files."""

    genome: Path
    """FASTA file: plain, gzipped or bgzipped."""
    peaks: tuple[str, ...] = ()
    """Peak files or patterns of them: BED, narrowPeak or broadPeak, plain or gzipped. One file is one task, named
    after the file; an ending that nearly all of the files share is left off."""
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
    group overlaps (DeepSEA's rule, with TF); `all`, every bin of every chromosome that has a peak."""
    exclude: tuple[Path, ...] = ()
    """BED files of regions; a bin that overlaps one is left out."""
    min_positives: int = Field(0, ge=0)
    """A task with fewer peaks that label a bin is left out; at 0 all are kept, and a file without peaks is an error."""
    valid: tuple[str, ...] = ()
    """Validation split: chromosomes, or regions as chrom:start-end (1-based, closed)."""
    test: tuple[str, ...] = ()
    """Test split: chromosomes, or regions as chrom:start-end (1-based, closed)."""
    outside: Literal["error", "drop"] = "error"
    """What to do with a peak that reaches past its chromosome's end."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.peaks) == bool(self.tasks):
            raise ValueError("give either peaks (files) or tasks (a sheet that names them)")
        if self.bin > self.window or (self.window - self.bin) % 2:
            raise ValueError(
                f"window {self.window} and bin {self.bin}: the window should be wider by an even number of bp"
            )
        return self


class PackConfig(Section):
    """How a store is made from a table of sequences with labels."""

    table: Path
    """CSV, TSV or Parquet with a sequence column; or a FASTA, with `labels`."""
    labels: Path | None = None
    """CSV, TSV or Parquet of labels for the records of a FASTA, joined by `id_column`."""
    sequence_column: str = "sequence"
    """The column of sequences."""
    id_column: str = "id"
    """The column of record names, where `labels` is given."""
    label_columns: tuple[str, ...] = ()
    """The label columns, of 0, 1 and empty (unknown); by default every column that holds nothing else."""
    split_column: str | None = None
    """The column of splits: train, valid or test (also val, validation, dev, training)."""
    valid_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the rows for validation, where no split column is given."""
    test_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the rows for the test, where no split column is given."""
    window: int | None = Field(None, ge=1)
    """Width of the model's input, bp, around each sequence's middle; by default the longest sequence."""
    seed: int = 0
    """Draws the splits, where no split column is given; equal sequences stay together."""


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
    simulate: SimulateConfig | None = None
    """Make the store by simulation."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.build, self.pack, self.simulate)) > 1:
            raise ValueError("give at most one of build, pack and simulate")
        return self


class ModelConfig(Section):
    """The network."""

    name: str = "compact"
    """Its name; `noncoder models` lists them."""
    parameters: dict[str, Any] = {}
    """Its own settings; `noncoder models NAME` lists them."""


class TrainConfig(Section):
    """How the network is trained."""

    epochs: float = Field(6, gt=0)
    """Passes over the training split."""
    batch_size: int = Field(128, ge=1)
    """Windows a forward pass."""
    accumulate: int = Field(1, ge=1)
    """Batches an optimiser step."""
    learning_rate: float = Field(2e-3, gt=0)
    """The highest learning rate."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Share of the steps over which the learning rate rises linearly from zero."""
    decay: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls to zero after the warm-up."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's decay of weight matrices and kernels; biases and norms have none."""
    clip: float = Field(1.0, ge=0)
    """Largest norm of the gradient; 0 for no clipping."""
    average: float = Field(0.0, ge=0, lt=1)
    """Decay a step of the exponential moving average of the weights that is validated and kept; 0 for none."""
    shift: int = Field(0, ge=0)
    """Training windows are moved by up to this many bp either way."""
    validations: float = Field(1, gt=0)
    """Validations a pass."""
    patience: int = Field(5, ge=1)
    """Validations without a better average precision after which training stops."""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """Arithmetic of the forward and backward passes; `auto` is bfloat16 where the device computes in it."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train."""
    compile: bool = False
    """Compile the network with torch.compile; costs half a minute, pays on long runs."""
    prior_bias: bool = True
    """Start each task's last bias at the logit of its share of positives in training."""


class EvaluateConfig(Section):
    """How the trained network is measured."""

    splits: tuple[str, ...] = ("valid", "test")
    """Which splits."""
    strands: Literal["both", "forward", "reverse"] = "both"
    """`both` averages the probabilities of the two strands."""
    min_positives: int = Field(30, ge=1)
    """Means are also given over the tasks with at least this many positives in the split."""
    batch_size: int = Field(256, ge=1)
    """Windows a forward pass."""


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
    report: ReportConfig = ReportConfig()
    """The report."""

    @property
    def store(self) -> Path:
        """Where the store is or will be."""
        return self.data.store or self.run / "data.zarr"


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Reads a recipe and applies `key.key=value` overrides, whose values are read as YAML.

    Raises:
        ConfigError: The file is missing or no YAML, or a key or value is wrong.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        near = did_you_mean(path.name, (file.name for file in path.parent.glob("*.yaml")))
        raise ConfigError(f"the recipe {path} does not exist", expected="a YAML file", mend=near) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is no readable YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no sections", expected="keys such as run, data, model and train")
    for override in overrides:
        _override(values, override)
    return validate(RunConfig, values, origin=str(path))


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"{override!r} sets nothing", expected="key=value, such as train.epochs=3")
    *parents, last = key.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if inner is None:
            inner = values[parent] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{key!r}: {parent} is a value, not a section")
        values = inner
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{override!r}: the value is no YAML ({error})") from error


def validate(section: type[S], values: Mapping[str, Any], origin: str) -> S:
    """Builds a section from plain values.

    Args:
        section: The class.
        values: Its keys and values.
        origin: Where they come from, for the message.

    Raises:
        ConfigError: A key is unknown (with the nearest one), missing, or its value is wrong; all that is wrong is told.
    """
    try:
        return section.model_validate(_tuples(section, values))
    except ValidationError as error:
        problems = [_problem(section, dict(detail)) for detail in error.errors()]
        raise ConfigError(f"{origin}: " + "\n".join(problems)) from None


def _problem(section: type[Section], detail: dict[str, Any]) -> str:
    where = [str(part) for part in detail["loc"]]
    key = ".".join(where)
    if detail["type"] == "extra_forbidden":
        parent: type[BaseModel] = section
        for part in where[:-1]:
            parent = _section_of(parent, part) or parent
        near = did_you_mean(where[-1], parent.model_fields)
        known = ", ".join(parent.model_fields)
        return f"there is no key {key!r}" + (f"; {near}" if near else f"; known here: {known}")
    if detail["type"] == "missing":
        return f"the key {key!r} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    given = "" if isinstance(detail["input"], dict | Section) else f", not {detail['input']!r}"
    return f"{key}: {message[0].lower() + message[1:]}{given}" if key else message


def _section_of(parent: type[BaseModel], name: str) -> type[Section] | None:
    annotation = parent.model_fields[name].annotation if name in parent.model_fields else None
    for option in getattr(annotation, "__args__", (annotation,)):
        if isinstance(option, type) and issubclass(option, Section):
            return option
    return None


def _tuples(section: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """A single value where several may stand counts as one of them; an empty section as its defaults."""
    result: dict[str, Any] = {}
    for key, value in dict(values).items():
        inner = _section_of(section, str(key))
        if inner is not None and value is None and not section.model_fields[key].default:
            continue
        if inner is not None and isinstance(value, Mapping | None):
            value = _tuples(inner, value or {})
        elif str(key) in section.model_fields and _takes_several(section, str(key)) and isinstance(value, str | int):
            value = [str(value)]
        elif str(key) in section.model_fields and _takes_several(section, str(key)) and isinstance(value, list):
            # YAML reads the chromosome 7 as a number.
            value = [str(one) if type(one) is int else one for one in value]
        result[key] = value
    return result


def _takes_several(section: type[BaseModel], key: str) -> bool:
    annotation: Any = section.model_fields[key].annotation
    return getattr(annotation, "__origin__", None) is tuple and annotation.__args__[-1] is Ellipsis


def write_recipe(config: RunConfig) -> str:
    """The recipe as YAML with every key, each with its docstring as a comment; reading it back gives the same."""
    return "\n".join(_lines(config, 0)) + "\n"


class _Quoting(yaml.SafeDumper):
    """Writes every text in double quotes, in which YAML can say any character on one line."""


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _lines(section: Section, depth: int) -> list[str]:
    indent, lines = "  " * depth, []
    for name, about in type(section).model_fields.items():
        value = getattr(section, name)
        lines.append(f"{indent}# {' '.join((about.description or '').split())}")
        if isinstance(value, Section):
            lines += [f"{indent}{name}:", *_lines(value, depth + 1)]
        else:
            text = yaml.dump(
                _plain(value), Dumper=_Quoting, default_flow_style=True, allow_unicode=True, width=math.inf
            )
            lines.append(f"{indent}{name}: {text.removesuffix('...' + chr(10)).strip()}")
    return lines
