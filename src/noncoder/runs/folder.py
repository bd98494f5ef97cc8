"""The paths of every file of a run, a study and a predictor. No other module spells the names of these files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

RECIPE, PREDICTOR, STUDY, BEST = "recipe.yaml", "predictor", "study.db", "best.yaml"
_SUMMARY, _MADE_FROM = "summary.json", "made-from.json"


@dataclass(frozen=True)
class _Folder:
    """A folder of results.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def summary(self) -> Path:
        """The summary; written last, so it exists only if all other files do."""
        return self.path / _SUMMARY


class _RecordedFolder(_Folder):
    """A folder of results with a record of their inputs."""

    @property
    def made_from(self) -> Path:
        """The settings and digests of all inputs."""
        return self.path / _MADE_FROM


@dataclass(frozen=True)
class TrainFolder(_Folder):
    """RUN/train: logs and checkpoints."""

    @property
    def claim(self) -> Path:
        """The settings and digests that decide the result of the training."""
        return self.path / "claim.json"

    @property
    def started(self) -> Path:
        """The model and the machine, known at the start."""
        return self.path / "started.json"

    @property
    def log(self) -> Path:
        """Training loss, one row every few steps."""
        return self.path / "log.csv"

    @property
    def validations(self) -> Path:
        """Validation loss and scores, one row per validation."""
        return self.path / "valid.csv"

    @property
    def gradients(self) -> Path:
        """Norms of gradients and weights per layer."""
        return self.path / "gradients.csv"

    @property
    def gradients_figure(self) -> Path:
        """A picture of these norms."""
        return self.path / "gradients.png"

    @property
    def loggers(self) -> Path:
        """The identifiers of the run in W&B and MLflow."""
        return self.path / "loggers.json"

    @property
    def last(self) -> Path:
        """The checkpoint from which training resumes."""
        return self.path / "last.ckpt"

    @property
    def previous(self) -> Path:
        """The checkpoint before the last."""
        return self.path / "previous.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best validation."""
        return self.path / "best.ckpt"

    def best_of_step(self, step: int | str) -> Path:
        """The checkpoint of one of the best validations.

        Args:
            step: Its optimiser step; "*" for a pattern that matches all.
        """
        return self.path / f"best-{step:08d}.ckpt" if isinstance(step, int) else self.path / f"best-{step}.ckpt"

    @property
    def fault(self) -> Path:
        """The step whose loss or gradient was not finite and stopped the training."""
        return self.path / "fault.json"

    @property
    def fault_weights(self) -> Path:
        """The weights before that step."""
        return self.path / "fault.ckpt"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files whose digests the summary holds."""
        return self.log, self.validations, self.gradients


@dataclass(frozen=True)
class SplitFolder(_RecordedFolder):
    """RUN/evaluate/SPLIT: the evaluation of one split."""

    @property
    def logits(self) -> Path:
        """Logits, float32 (n, T) in Fortran order."""
        return self.path / "logits.npy"

    @property
    def tasks(self) -> Path:
        """One row per task, Parquet."""
        return self.path / "tasks.parquet"

    @property
    def tasks_text(self) -> Path:
        """The same rows as text."""
        return self.path / "tasks.tsv"

    @property
    def curves(self) -> Path:
        """ROC, precision-recall and reliability curves per task."""
        return self.path / "curves.npz"

    @property
    def published_tasks(self) -> Path:
        """A picture of the tasks against published results."""
        return self.path / "published-tasks.png"

    @property
    def published_means(self) -> Path:
        """A picture of the means against published results."""
        return self.path / "published-means.png"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files whose digests the summary holds."""
        return self.logits, self.tasks, self.tasks_text, self.curves


@dataclass(frozen=True)
class EvaluateFolder:
    """RUN/evaluate: the evaluation of all splits.

    Args:
        path: The folder.
    """

    path: Path

    def split(self, name: str) -> SplitFolder:
        """The evaluation of a split."""
        return SplitFolder(self.path / name)

    def splits(self) -> Iterator[SplitFolder]:
        """The splits that have a folder, in no particular order."""
        if self.path.is_dir():
            for path in self.path.iterdir():
                if path.is_dir() and not path.name.startswith("."):
                    yield SplitFolder(path)


@dataclass(frozen=True)
class TaskFolder(_RecordedFolder):
    """RUN/interpret/tasks/NAME: the interpretation of one task by one method."""

    @property
    def attributions(self) -> Path:
        """Attributions of the windows."""
        return self.path / "attributions.npz"

    @property
    def gradcam(self) -> Path:
        """Class activation maps."""
        return self.path / "gradcam.npz"

    @property
    def mutations(self) -> Path:
        """In-silico mutagenesis."""
        return self.path / "ism.npz"

    @property
    def patterns(self) -> Path:
        """The motifs found, with their sites."""
        return self.path / "patterns.json"

    @property
    def motifs(self) -> Path:
        """The motifs found, in MEME format."""
        return self.path / "motifs.meme"

    @property
    def grammar(self) -> Path:
        """Effects of planted motifs, their spacing and order."""
        return self.path / "grammar.json"

    @property
    def design(self) -> Path:
        """Designed sequences."""
        return self.path / "design.json"

    @property
    def track(self) -> Path:
        """Attributions along the genome, bigWig."""
        return self.path / "attributions.bw"

    @property
    def intervals(self) -> Path:
        """Intervals of high attribution, BED."""
        return self.path / "attributions.bed"

    @property
    def hits(self) -> Path:
        """Sites of motifs, BED."""
        return self.path / "hits.bed"

    @property
    def figures(self) -> Path:
        """The folder of the pictures."""
        return self.path / "figures"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read again, whose digests the summary holds."""
        return self.attributions, self.gradcam, self.mutations, self.patterns, self.grammar, self.design


@dataclass(frozen=True)
class FiltersFolder(_RecordedFolder):
    """RUN/interpret/filters: the kernels of the first convolution."""

    @property
    def filters(self) -> Path:
        """One record per kernel."""
        return self.path / "filters.json"

    @property
    def motifs(self) -> Path:
        """The kernels as motifs, in MEME format."""
        return self.path / "filters.meme"


@dataclass(frozen=True)
class InterpretFolder(_Folder):
    """RUN/interpret: all tasks that were interpreted."""

    @property
    def tasks(self) -> Path:
        """The folder of the tasks' folders."""
        return self.path / "tasks"

    def task(self, name: str) -> TaskFolder:
        """The folder of a task and method.

        Args:
            name: The folder's name, as `noncoder.interpret.interpretation_stage.folder_names` makes it, and the method.
        """
        return TaskFolder(self.tasks / name)

    def all_tasks(self) -> Iterator[TaskFolder]:
        """The tasks that have a folder, in no particular order."""
        if self.tasks.is_dir():
            yield from (TaskFolder(path) for path in self.tasks.iterdir() if path.is_dir())

    @property
    def filters(self) -> FiltersFolder:
        """The kernels of the first convolution."""
        return FiltersFolder(self.path / "filters")


@dataclass(frozen=True)
class PredictorFolder:
    """RUN/predictor: a trained model.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def weights(self) -> Path:
        """The weights and buffers."""
        return self.path / "weights.safetensors"

    @property
    def description(self) -> Path:
        """Everything but the weights."""
        return self.path / "model.json"

    @property
    def source(self) -> Path:
        """A copy of the Python file with the model, if it is a user's own."""
        return self.path / "source.py"

    @classmethod
    def names(cls) -> set[str]:
        """The names of the two files that each predictor has."""
        folder = cls(Path())
        return {folder.weights.name, folder.description.name}


@dataclass(frozen=True)
class RunFolder:
    """A run's folder.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe with every key written out."""
        return self.path / RECIPE

    @property
    def store(self) -> Path:
        """The store, if the recipe makes it and names no other path."""
        return self.path / "data.zarr"

    @property
    def data(self) -> Path:
        """The settings that the store was made with, and its digest."""
        return self.path / "data.json"

    @property
    def explore(self) -> Path:
        """Statistics of the store."""
        return self.path / "explore.json"

    @property
    def train(self) -> TrainFolder:
        """Logs and checkpoints."""
        return TrainFolder(self.path / "train")

    @property
    def predictor(self) -> PredictorFolder:
        """The trained model."""
        return PredictorFolder(self.path / PREDICTOR)

    @property
    def evaluate(self) -> EvaluateFolder:
        """The evaluation of all splits."""
        return EvaluateFolder(self.path / "evaluate")

    @property
    def interpret(self) -> InterpretFolder:
        """The interpretation."""
        return InterpretFolder(self.path / "interpret")

    @property
    def report(self) -> Path:
        """The report as one HTML file."""
        return self.path / "report.html"

    @property
    def tune(self) -> StudyFolder:
        """A study of the run's recipe."""
        return StudyFolder(self.path / "tune")

    @property
    def mlflow(self) -> Path:
        """MLflow's database, if the recipe names no other; the runs beside this one share it."""
        return self.path.resolve().parent / "mlflow.db"

    @property
    def lr_find(self) -> RangeTestFolder:
        """A learning-rate range test of the run's recipe."""
        return RangeTestFolder(self.path / "lr-find")


@dataclass(frozen=True)
class StudyFolder:
    """The folder of a hyperparameter study.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def database(self) -> Path:
        """Optuna's database."""
        return self.path / STUDY

    @property
    def finished(self) -> Path:
        """The results of finished trials, which the database is checked against."""
        return self.path / "finished.json"

    @property
    def table(self) -> Path:
        """One row per trial."""
        return self.path / "trials.tsv"

    @property
    def recipe(self) -> Path:
        """The recipe of the best trial."""
        return self.path / BEST

    @property
    def best_run(self) -> Path:
        """The folder that a training with the best recipe writes to."""
        return self.path / "best"

    @property
    def page(self) -> Path:
        """Figures, trials and the best recipe as one HTML file."""
        return self.path / "study.html"

    @property
    def trials(self) -> Path:
        """The folder of the trials' runs."""
        return self.path / "trials"

    def trial(self, name: str) -> Path:
        """The run of a trial."""
        return self.trials / name

    @property
    def workers(self) -> Path:
        """The lock files of the processes that run the study."""
        return self.path / ".workers"

    @property
    def ray(self) -> Path:
        """Ray's files, if the study runs on a cluster."""
        return self.path / "ray"

    @staticmethod
    def failure(trial: Path) -> Path:
        """Why a trial on a cluster failed.

        Args:
            trial: The trial's run.
        """
        return trial / "failed.txt"

    def figures(self, names: Iterable[str], endings: Iterable[str]) -> list[Path]:
        """Pictures of the study."""
        return [self.path / f"{name}.{ending}" for name in names for ending in endings]


@dataclass(frozen=True)
class RangeTestFolder:
    """The folder of a learning-rate range test.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def result(self) -> Path:
        """The curve and the suggestion."""
        return self.path / "result.json"

    @property
    def text(self) -> Path:
        """The result as text."""
        return self.path / "result.txt"

    @property
    def figure(self) -> Path:
        """A picture of the curve."""
        return self.path / "result.png"
