"""The filters of a model's first convolution as motifs, and what each does to the tasks.

The procedure of Alipanahi et al. 2015 (doi:10.1038/nbt.3300), DeepSEA and DanQ, as it is done here: for every filter,
the activations (what the convolution gives, before any rectifier or pooling) at all positions of all sequences; half of
the highest of them is the threshold; from every sequence with an activation above it the one subsequence with the
highest is taken, as wide as the filter; the share of each base at each position is the filter's motif. Subsequences
that reach over the window's ends or hold an N are left out, and so is a filter whose highest activation is not above
zero.

What a filter does to a task is measured by exchanging its output: in the sequences with the highest activations, each
gets that of a sequence where the highest activation is lowest, all else staying. A task's effect is the mean of (logit
- logit with the other's output): what it owes to the filter having found its motif. A constant in its place would not
do: poolings take maxima, and those of a real output lie above its mean wherever there is no motif too. Effects nearer
to zero than three of their standard errors are not told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from noncoder.errors import InputError
from noncoder.interpret.layers import first_convolution
from noncoder.models import SequenceModel
from noncoder.predictor.inference import as_input, ask, batches, evaluating
from noncoder.sequence.encoding import N_CODE
from noncoder.sequence.motifs import Motif

_THRESHOLD = 0.5  # of the highest activation
_ERRORS = 3.0  # standard errors that an effect has to be away from zero
_BATCH = 64

Progress = Callable[[int], object]


@dataclass(frozen=True)
class FilterConfig:
    """How filters are looked at.

    Args:
        sample: Most sequences in which a filter's output is exchanged; 0 leaves the effects out.
        tasks: Most tasks that are told of a filter, those with the greatest effects.
    """

    sample: int = 32
    tasks: int = 5


class Effect(NamedTuple):
    """What a filter that has found its motif adds to a task's logit: the mean, and its standard error."""

    task: int
    effect: float
    error: float


@dataclass(frozen=True, eq=False)
class FilterMotif:
    """A filter of the first convolution.

    Args:
        filter: Its channel.
        motif: Share of each base in its sites.
        sequences: How many sequences have a site; one site each.
        threshold: The activation that a site exceeds.
        effects: The tasks that it drives, the greatest effect first.
    """

    filter: int
    motif: Motif
    sequences: int
    threshold: float
    effects: tuple[Effect, ...]

    @property
    def information(self) -> float:
        """Bits of all positions together."""
        return self.motif.total_information

    def to_dict(self, tasks: list[str]) -> dict[str, Any]:
        """As JSON values, with the names of all tasks given."""
        return {
            "filter": self.filter,
            "ppm": self.motif.ppm.T.round(5).tolist(),
            "information": round(self.information, 3),
            "sequences": self.sequences,
            "sites": self.sequences,
            "tasks": [{"task": tasks[one.task], "effect": one.effect, "error": one.error} for one in self.effects],
        }


class FirstLayer(NamedTuple):
    """The module that reads the bases, its filters' width, and the zeros that it puts before them."""

    module: nn.Module
    width: int
    padding: int


def first_layer_motifs(
    model: SequenceModel,
    codes: NDArray[np.uint8],
    settings: FilterConfig | None = None,
    progress: Progress | None = None,
) -> list[FilterMotif]:
    """The filters that have sites, in the order of their channels.

    Args:
        model: A model whose first layer is a convolution of the bases.
        codes: Sequences as long as its window, uint8 (n, L).
        settings: How to look.
        progress: Called with the number of sequences read since the last call, in the pass over all of them.

    Raises:
        InputError: The model has no convolution of the bases, or the sequences are none or not its window long.
    """
    settings = settings or FilterConfig()
    if codes.ndim != 2 or codes.shape[1] != model.window or not len(codes):
        raise InputError(f"sequences of shape {codes.shape}", expected=f"codes (n, {model.window}), at least one")
    layer = find_first_layer(model)
    with evaluating(model):
        best, place = _scan(model, layer, codes, progress)
        thresholds = _THRESHOLD * best.max(axis=0)
        sites = {
            channel: np.flatnonzero(best[:, channel] > threshold)
            for channel, threshold in enumerate(thresholds)
            if 0 < threshold < np.inf
        }
        effects = _effects(model, layer, codes, {channel: best[:, channel] for channel in sites}, settings)
    found = []
    for channel, rows in sites.items():
        bases = codes[rows[:, None], place[rows, channel][:, None] + np.arange(layer.width)]
        ppm = (bases[:, None, :] == np.arange(4, dtype=np.uint8)[:, None]).mean(axis=0)
        motif, threshold = Motif(f"filter_{channel}", ppm), float(thresholds[channel])
        found.append(FilterMotif(channel, motif, rows.size, threshold, effects[channel]))
    return found


def find_first_layer(model: SequenceModel) -> FirstLayer:
    """The convolution that reads the bases, or the module that multiplies one with an embedding of the bases.

    Raises:
        InputError: Something else reads the bases.
    """
    first = first_convolution(model)
    if first is not None and first.reads_bases:
        convolutions = [part for part in first.module.modules() if isinstance(part, nn.modules.conv._ConvNd)]
        if len(convolutions) == 1:  # a module with more of them is a network of its own
            width, padding = int(convolutions[0].kernel_size[-1]), convolutions[0].padding
            if isinstance(padding, str):
                padding = ((width - 1) // 2 if padding == "same" else 0,)
            return FirstLayer(first.module, width, int(padding[-1]))
    raise InputError(
        f"the model {model.name!r} has no convolution that reads the bases",
        expected="a first layer whose filters are motifs, as compact, danq, deepsea or wideresnet-txl have",
        hint="look at the patterns of its attributions",
    )


def _scan(
    model: SequenceModel, layer: FirstLayer, codes: NDArray[np.uint8], progress: Progress | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Of each sequence the highest activation and where its subsequence begins, (n, C) both."""
    best, places = [], []
    for rows in batches(len(codes), _BATCH):
        output = _output(model, layer, codes[rows])
        # Position i of the output reads from base i - padding on.
        whole = output[:, :, layer.padding : layer.padding + codes.shape[1] - layer.width + 1]
        unknown = torch.from_numpy(codes[rows] == N_CODE).to(output.device).unfold(1, layer.width, 1).any(dim=2)
        highest = whole.masked_fill(unknown[:, None], -torch.inf).max(dim=2)
        best.append(highest.values.float().cpu().numpy())
        places.append(highest.indices.cpu().numpy())
        if progress is not None:
            progress(len(output))
    return np.concatenate(best), np.concatenate(places)


def _output(model: SequenceModel, layer: FirstLayer, codes: NDArray[np.uint8]) -> Tensor:
    """The output of the layer for codes (n, L), (n, C, positions)."""
    kept: list[Tensor] = []
    # A copy: what comes after may write into it.
    handle = layer.module.register_forward_hook(lambda module, inputs, output: kept.append(output.clone()))
    try:
        x = as_input(model, codes)
        _ = model.features(x) if model.has_features else model(x)
    finally:
        handle.remove()
    return kept[0].squeeze(2) if kept[0].ndim == 4 else kept[0]


def _effects(
    model: SequenceModel,
    layer: FirstLayer,
    codes: NDArray[np.uint8],
    best: Mapping[int, NDArray[np.float32]],
    settings: FilterConfig,
) -> dict[int, tuple[Effect, ...]]:
    """By filter, the tasks that change the most where its output is that of a sequence without its motif."""
    size = min(settings.sample, len(codes) // 2)
    orders = [np.argsort(-highest, kind="stable") for highest in best.values()]
    rows = np.array([order[:size] for order in orders], dtype=np.int64).ravel()
    donors = np.array([order[::-1][:size] for order in orders], dtype=np.int64).ravel()
    channels = np.repeat(np.array(list(best), dtype=np.int64), size)
    read, place = np.unique(rows, return_inverse=True)
    whole = _logits(model, codes, read)[place]
    other = np.empty_like(whole)
    for part in batches(rows.size, _BATCH):
        given = _output(model, layer, codes[donors[part]])
        with _exchanged(layer.module, channels[part], given[np.arange(len(given)), channels[part]]):
            other[part] = _logits(model, codes, rows[part])
    change = whole - other
    return {channel: _greatest(change[channels == channel], settings.tasks) for channel in best}


def _logits(model: SequenceModel, codes: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    blocks = (codes[rows[part]] for part in batches(rows.size, _BATCH))
    return ask(model, blocks, rows.size, None, "forward", "filters").astype(np.float64)


def _greatest(change: NDArray[np.float64], most: int) -> tuple[Effect, ...]:
    if len(change) < 2:
        return ()
    mean, error = change.mean(axis=0), change.std(axis=0, ddof=1) / np.sqrt(len(change))
    order = np.argsort(-np.abs(mean), kind="stable")[:most]
    certain = [task for task in order if abs(mean[task]) > _ERRORS * error[task]]
    return tuple(Effect(int(task), float(mean[task]), float(error[task])) for task in certain)


@contextmanager
def _exchanged(module: nn.Module, channels: NDArray[np.int64], outputs: Tensor) -> Iterator[None]:
    """Within it, of each sequence of a batch one channel of a module's output is another one's, (b, positions)."""

    def exchange(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[np.arange(len(channels)), channels] = outputs.view(len(channels), *output.shape[2:])
        return output

    handle = module.register_forward_hook(exchange)
    try:
        yield
    finally:
        handle.remove()
