"""A trained model with its tasks and window, and its folder, which evaluation, interpretation and variants read.

`weights.safetensors` holds the weights. `model.json` holds everything else, with the SHA-256 of the weights' file and
of itself. If the model is a class in a user's own Python file, `source.py` is a copy of the file. No pickle is read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from noncoder.data.store import Store
from noncoder.data.tasks import Task, column_beside, tasks_of_json
from noncoder.errors import InputError, NoncoderError
from noncoder.files import read_json, unwritable, write_bytes, write_json
from noncoder.kinds import mistaken
from noncoder.metrics.temperature import calibrate, check_temperatures
from noncoder.models import SequenceModel
from noncoder.models.own import ModelSource
from noncoder.predictor.building import PredictorError, build_described
from noncoder.predictor.inference import Strands, ask, batches
from noncoder.runs.folder import PredictorFolder, RunFolder
from noncoder.sequence.encoding import N_CODE, encode_batch
from noncoder.temporary import settled, temporary

Sequences = Sequence[str] | NDArray[np.uint8]
Shape = tuple[int, ...]

_WEIGHTS_DIGEST = "weights_sha256"


@dataclass
class Predictor:
    """A trained model.

    Args:
        model: The network.
        tasks: The T tasks, one per column of the logits.
        bin: Width of the labelled centre of a window, bp.
        info: Data and course of the training as plain JSON values: "store_digest", "training", …
        temperatures: Divisor of the logits of each task, (T,), before they become probabilities; None if the predictor
            is not calibrated.

    Raises:
        PredictorError: The temperatures are not T positive numbers.
    """

    model: SequenceModel
    tasks: tuple[Task, ...]
    bin: int
    info: dict[str, Any] = field(default_factory=dict)
    temperatures: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.temperatures is None:
            return
        try:
            check_temperatures(np.asarray(self.temperatures, dtype=np.float64), len(self.tasks))
        except InputError as error:
            raise PredictorError(error.found, error.expected, error.hint) from error

    def __repr__(self) -> str:
        calibrated = "" if self.temperatures is None else ", calibrated"
        return f"Predictor({self.model.name!r}, {len(self.tasks)} tasks, window of {self.window:,} bp{calibrated})"

    @property
    def window(self) -> int:
        """Length of the model's input, L, bp."""
        return self.model.window

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device

    def to(self, device: str | torch.device) -> Predictor:
        """Moves the model to a device."""
        self.model.to(device)
        return self

    def digest(self) -> str:
        """SHA-256 of the weights and the meaning of their columns; equal digests mean equal predictions."""
        found = hashlib.sha256("\n".join(task.name for task in self.tasks).encode())
        if isinstance(self.model.origin, ModelSource):
            found.update(self.model.origin.content)
        for name, tensor in sorted(self.model.state_dict().items()):
            found.update(name.encode())
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return found.hexdigest()

    def calibrated(self, temperatures: ArrayLike) -> Predictor:
        """Returns the same model with calibrated probabilities.

        Args:
            temperatures: (T,), as `noncoder.metrics.temperature.fit_temperatures` finds them, of logits that were
                averaged as this predictor's will be.

        Raises:
            PredictorError: They are not T positive numbers.
        """
        return replace(self, temperatures=tuple(np.asarray(temperatures, dtype=np.float64).ravel().tolist()))

    def uncalibrated(self) -> Predictor:
        """Returns the same model without temperatures: its probabilities are the sigmoid of the raw logits."""
        return replace(self, temperatures=None)

    def predict(self, sequences: Sequences, strands: Strands = "both", batch_size: int = 256) -> NDArray[np.float32]:
        """Predicts probabilities (n, T) of sequences, calibrated if the predictor has temperatures.

        Probabilities are averaged first; then the logit of the mean is divided by the task's temperature, which does
        not change ranks. `uncalibrated` returns a predictor without this step.

        Args:
            sequences: n texts of L bp, or codes (n, L).
            strands: "both" averages the probabilities of the two strands.
            batch_size: Windows per forward pass.

        Raises:
            SequenceError: A character is not a base.
            InputError: The sequences are not L bp long.
        """
        logits = self.predict_logits(sequences, strands, batch_size)
        if self.temperatures is not None:
            logits = calibrate(logits, self.temperatures).astype(np.float32, copy=False)
        return torch.sigmoid(torch.from_numpy(logits)).numpy()

    def predict_table(
        self,
        sequences: Sequences,
        names: Sequence[str] | None = None,
        strands: Strands = "both",
        batch_size: int = 256,
    ) -> pl.DataFrame:
        """Predicts probabilities of sequences as a polars table with a row per sequence and a column per task.

        Args:
            sequences: n texts of L bp, or codes (n, L).
            names: Names of the sequences for a first column, called "record", or "record_" if a task has that name;
                None for task columns only.
            strands: "both" averages the probabilities of the two strands.
            batch_size: Windows per forward pass.

        Raises:
            SequenceError: A character is not a base.
            InputError: The sequences are not L bp long, or there are more or fewer names than sequences.
        """
        if names is not None and len(names) != len(sequences):
            raise InputError(f"{len(names):,} names for {len(sequences):,} sequences", expected="one name per sequence")
        probs = self.predict(sequences, strands, batch_size)
        first = {} if names is None else {column_beside(self.tasks, "record"): list(names)}
        return pl.DataFrame(first | {task.name: probs[:, i] for i, task in enumerate(self.tasks)})

    def predict_logits(
        self, sequences: Sequences, strands: Strands = "both", batch_size: int = 256
    ) -> NDArray[np.float32]:
        """Predicts raw logits (n, T) of sequences; for "both" strands the logit of the mean probability.

        Temperatures are not applied. Logits have the ranks of the probabilities, as AUROC needs, without the ties of
        float32 probabilities near 1.

        Args:
            sequences: n texts of L bp, or codes (n, L).
            strands: Which strands are read.
            batch_size: Windows per forward pass.

        Raises:
            SequenceError: A character is not a base.
            InputError: The sequences are not L bp long.
        """
        if isinstance(sequences, np.ndarray):
            codes = sequences
        else:
            codes = encode_batch(sequences) if len(sequences) else np.empty((0, self.window), dtype=np.uint8)
        if codes.ndim != 2 or codes.shape[1] != self.window or codes.dtype != np.uint8:
            raise InputError(
                f"sequences of shape {codes.shape} and type {codes.dtype}",
                expected=f"texts of {self.window} bp, or uint8 codes (n, {self.window})",
                hint="crop or pad the sequences around their middle",
            )
        if codes.size and codes.max() > N_CODE:
            raise InputError(f"the code {codes.max()}", expected="A, C, G, T, N = 0, 1, 2, 3, 4")
        return ask(self.model, (codes[rows] for rows in batches(len(codes), batch_size)), len(codes), None, strands)

    def predict_store(
        self, store: Store, indices: NDArray[np.int64], strands: Strands = "both", batch_size: int = 256
    ) -> NDArray[np.float32]:
        """Predicts raw logits (n, T) of windows of a store; see `predict_logits`.

        Raises:
            InputError: The store's windows have another width.
        """
        if store.window != self.window:
            raise InputError(f"{store.path} has windows of {store.window} bp", expected=f"{self.window} bp")
        blocks = (store.read_codes(indices[rows]) for rows in batches(len(indices), batch_size))
        return ask(self.model, blocks, len(indices), None, strands)

    def save(self, folder: str | Path) -> None:
        """Writes the folder, or replaces an existing predictor; if the process is killed, the old or the new one stays.

        A folder that also holds other files is kept, and the two files are replaced one after the other; `load` detects
        if the process was killed between them.

        Raises:
            InputError: The system refuses to write; the existing folder stays.
        """
        description = {
            "model": self.model.name,
            "parameters": self.model.config.model_dump(mode="json"),
            "window": self.window,
            "bin": self.bin,
            "tasks": [task.to_dict() for task in self.tasks],
            "version": version("noncoder"),
            "info": self.info,
            "temperatures": None if self.temperatures is None else list(self.temperatures),
        }
        origin = self.model.origin
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.model.state_dict().items()}
        if origin is not None:
            description |= origin.describe()
            # A user's own model may share a tensor between two names, which the format does not allow.
            tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        weights = save_tensors(tensors)
        _write(
            PredictorFolder(Path(folder).resolve()),
            weights,
            description | {_WEIGHTS_DIGEST: hashlib.sha256(weights).hexdigest()},
            origin.content if isinstance(origin, ModelSource) else None,
        )


def load(path: str | Path, source: str | Path | None = None) -> Predictor:
    """Loads a predictor from its folder, or from the folder of a run that has one.

        >>> import noncoder
        >>> predictor = noncoder.load("runs/yeast")
        >>> predictor
        Predictor('compact', 146 tasks, window of 1,000 bp)
        >>> probs = predictor.predict(["ACGT" * 250, "GGCA" * 250])  # float32 (n, T), both strands averaged
        >>> table = predictor.predict_table(["ACGT" * 250], names=["a"])  # a polars table, one column per task
        >>> predictor.to("cuda").predict_logits(codes)  # codes: uint8 (n, L), A, C, G, T, N = 0, 1, 2, 3, 4

    Args:
        path: The folder.
        source: The Python file with the model, if it is someone else's model and you have not named the file before.
            The file is then run; its content must be that of training. No other file is ever run.

    Raises:
        PredictorError: The folder holds no predictor, it is damaged, or its weights or temperatures do not fit its
            model; or the source of its model is missing, has changed, or was not named.
    """
    run, folder = RunFolder(Path(path)), PredictorFolder(Path(path))
    if settled(folder.path) and not folder.description.is_file() and settled(run.predictor.path):
        folder = run.predictor
    if not folder.description.is_file():
        found, hint = mistaken(Path(path), "predictor", "train one: `noncoder train`")
        if run.recipe.is_file():
            found, hint = (
                f"{path} holds no predictor",
                "its training is not finished: `noncoder train` resumes it",
            )
        raise PredictorError(
            found, expected=f"a folder with {folder.description.name} and {folder.weights.name}, or a run's", hint=hint
        )
    try:
        description, content = _read(folder)
        tasks = tasks_of_json(description["tasks"])
        model = build_described(description, folder, source)
        given = description.get("temperatures")  # older folders have none
        temperatures = None if given is None else tuple(float(value) for value in given)
        bin, info = _read_bin(description), dict(description.get("info", {}))
        weights = load_tensors(content)
    except InputError as error:
        raise _damaged(folder.path, error.found) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise _damaged(folder.path, error) from error
    _fit(model, weights, folder)
    model.eval()
    try:
        return Predictor(model, tasks, bin, info, temperatures)
    except PredictorError as error:
        raise PredictorError(f"{folder.description}: {error.found}", error.expected, "calibrate it again") from error


def _read_bin(description: Mapping[str, Any]) -> int:
    bin, window = description["bin"], description["window"]
    if type(bin) is not int or not 0 < bin <= window:
        raise ValueError(f"its bin is {bin!r} in windows of {window} bp")
    return bin


def is_predictor(folder: Path) -> bool:
    """Whether a folder is that of a predictor, intact or damaged."""
    return PredictorFolder(folder).description.is_file() or PredictorFolder(folder).weights.is_file()


def _write(folder: PredictorFolder, weights: bytes, description: Mapping[str, Any], source: bytes | None) -> None:
    try:
        folder.path.parent.mkdir(parents=True, exist_ok=True)
        ours = folder.names() | {folder.source.name}
        if folder.path.is_dir() and {inner.name for inner in folder.path.iterdir()} - ours:
            _write_files(folder, weights, description, source)
            return
        with temporary(folder.path) as made:
            _write_files(PredictorFolder(made.path), weights, description, source)
            made.put()
    except OSError as error:
        raise unwritable(folder.path, error) from error


def _write_files(folder: PredictorFolder, weights: bytes, description: Mapping[str, Any], source: bytes | None) -> None:
    write_bytes(folder.weights, weights)
    if source is not None:
        write_bytes(folder.source, source)
    write_json(folder.description, description)


def _read(folder: PredictorFolder) -> tuple[dict[str, Any], bytes]:
    """Reads the description and the weights' file, both of one predictor, even while it is being replaced.

    Raises:
        OSError: A file cannot be read.
        PredictorError: A file differs from what was written.
    """
    place = folder.path.stat()
    try:
        description, weights = read_json(folder.description), folder.weights.read_bytes()
        if description is None:
            raise FileNotFoundError(f"{folder.description.name} is missing")
        # Folders of earlier versions have no digests.
        digest = description.get(_WEIGHTS_DIGEST)
        if digest is not None and digest != hashlib.sha256(weights).hexdigest():
            why = f"{folder.weights.name} is not the file that {folder.description.name} was written with"
            raise _damaged(folder.path, why)
    except (OSError, NoncoderError) as error:
        if not os.path.samestat(place, folder.path.stat()):
            return _read(folder)
        raise error if not isinstance(error, InputError) else _damaged(folder.path, error.found) from error
    return description, weights


def _damaged(folder: Path, why: object) -> PredictorError:
    return PredictorError(f"the predictor in {folder} is damaged: {why}", hint="train it again, or copy it again")


def _fit(model: SequenceModel, weights: Mapping[str, Tensor], folder: PredictorFolder) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    name = first_difference(found, expected)
    if name is not None:
        raise PredictorError(
            f"{folder.weights}: {name} is {found.get(name, 'missing')}",
            expected=f"{expected.get(name, 'no such tensor')} in the model {model.name!r}",
        )
    model.load_state_dict(dict(weights))


def first_difference(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> str | None:
    """Returns the first tensor that is missing, has another shape, or is unexpected; None if all match."""
    return next((name for name in [*expected, *found] if expected.get(name) != found.get(name)), None)
