"""Filters of a model's first convolution as motifs, and their effects on tasks.

The procedure follows Alipanahi et al. 2015 (doi:10.1038/nbt.3300), DeepSEA and DanQ. The activations of a filter are
the convolution's outputs, before any rectifier or pooling, at all positions of all sequences. The threshold is half of
the highest activation. Each sequence with an activation above the threshold contributes one site: the bases that the
filter reads at its highest activation. The base frequencies of the sites are the filter's motif. Sites that contain an
N or extend past the window's ends are left out, and so are filters whose highest activation is not above zero.

A site is a run of consecutive bases that starts at the position of the activation. So convolutions with a stride or
dilation above 1 are refused.

The effect of a filter on a task is measured by exchanging its output: each of the sequences with the highest
activations gets the filter's output of one of the sequences with the lowest maximum, all other outputs unchanged. The
effect is the mean of (logit - logit with the other output), the filter's contribution for having found its motif. A
constant output would not do: poolings take maxima, and the maxima of a real output exceed its mean even without a
motif. Effects within three standard errors of zero are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from noncoder.runs.results import FilterEffect, FilterResult, MotifMatch
from noncoder.sequence.encoding import N_CODE
from noncoder.sequence.motifs import Motif

_THRESHOLD = 0.5  # of the highest activation
_ERRORS = 3.0  # standard errors between zero and a reported effect, at least
_BATCH = 64

Progress = Callable[[int], object]


@dataclass(frozen=True)
class FilterConfig:
    """Settings of the analysis of filters.

    Args:
        sample: Largest number of sequences in which a filter's output is exchanged; 0 leaves out the effects.
        tasks: Largest number of tasks reported per filter, those with the largest effects.
    """

    sample: int = 32
    tasks: int = 5


class Effect(NamedTuple):
    """Effect of a filter's motif on a task's logit: mean and standard error."""

    task: int
    effect: float
    error: float


@dataclass(frozen=True, eq=False)
class FilterMotif:
    """Filter of the first convolution.

    Args:
        filter: Output channel of the convolution.
        motif: Base frequencies of the sites.
        sequences: Number of sequences with a site; each has one.
        threshold: Activation that sites exceed.
        effects: Effects on tasks, the largest absolute effect first.
    """

    filter: int
    motif: Motif
    sequences: int
    threshold: float
    effects: tuple[Effect, ...]

    @property
    def information(self) -> float:
        """Information of all positions together, bits."""
        return self.motif.total_information

    def result(self, tasks: Sequence[str], matches: Sequence[MotifMatch]) -> FilterResult:
        """Returns the filter, its effects and its matches, for filters.json.

        Args:
            tasks: Names of all tasks of the model.
            matches: Known motifs that the filter resembles.
        """
        return FilterResult(
            filter=self.filter,
            ppm=self.motif.ppm.T.round(5).tolist(),
            information=round(self.information, 3),
            sequences=self.sequences,
            sites=self.sequences,
            tasks=tuple(FilterEffect(task=tasks[one.task], effect=one.effect, error=one.error) for one in self.effects),
            matches=tuple(matches),
        )


class FirstLayer(NamedTuple):
    """Module that reads the bases, with the width of its filters and its padding on the left."""

    module: nn.Module
    width: int
    padding: int


def first_layer_motifs(
    model: SequenceModel,
    codes: NDArray[np.uint8],
    settings: FilterConfig | None = None,
    progress: Progress | None = None,
) -> list[FilterMotif]:
    """Returns the filters that have sites, in the order of their channels.

    Args:
        model: Model whose first layer is a convolution of the bases.
        codes: Sequences of the model's window length, uint8 (n, L).
        settings: Settings of the analysis.
        progress: Called with the number of scanned sequences since the last call.

    Raises:
        InputError: The model has no convolution of the bases with stride 1 and dilation 1, or the sequences are empty
            or of the wrong length.
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
    """Returns the convolution that reads the bases, or the module that multiplies it with an embedding of the bases.

    Raises:
        InputError: Another layer reads the bases, or the convolution has a stride or dilation other than 1.
    """
    first = first_convolution(model)
    convolutions = []
    if first is not None and first.reads_bases:
        convolutions = [part for part in first.module.modules() if isinstance(part, nn.modules.conv._ConvNd)]
    if first is None or len(convolutions) != 1:  # a module with several convolutions is a network of its own
        raise InputError(
            f"the model {model.name!r} has no convolution that reads the bases",
            expected="a first layer whose filters are motifs, as in compact, danq, deepsea or wideresnet-txl",
            hint="use the patterns of its attributions instead",
        )
    (convolution,) = convolutions
    stride, dilation, width = convolution.stride[-1], convolution.dilation[-1], int(convolution.kernel_size[-1])
    if (stride, dilation) != (1, 1):
        raise InputError(
            f"the first convolution of the model {model.name!r} has stride {stride} and dilation {dilation}, so its "
            "filters are not shown as motifs",
            expected="stride 1 and dilation 1",
            hint="use the patterns of its attributions instead",
        )
    padding = convolution.padding
    if isinstance(padding, str):
        padding = ((width - 1) // 2 if padding == "same" else 0,)
    return FirstLayer(first.module, width, int(padding[-1]))


def _scan(
    model: SequenceModel, layer: FirstLayer, codes: NDArray[np.uint8], progress: Progress | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns each filter's highest activation in each sequence and the first base that it reads, both (n, C)."""
    best, places = [], []
    for rows in batches(len(codes), _BATCH):
        output = _output(model, layer, codes[rows])
        # Position i of the output reads from base i - padding on.
        inside = output[:, :, layer.padding : layer.padding + codes.shape[1] - layer.width + 1]
        unknown = torch.from_numpy(codes[rows] == N_CODE).to(output.device).unfold(1, layer.width, 1).any(dim=2)
        highest = inside.masked_fill(unknown[:, None], -torch.inf).max(dim=2)
        best.append(highest.values.float().cpu().numpy())
        places.append(highest.indices.cpu().numpy())
        if progress is not None:
            progress(len(output))
    return np.concatenate(best), np.concatenate(places)


def _output(model: SequenceModel, layer: FirstLayer, codes: NDArray[np.uint8]) -> Tensor:
    """Returns the layer's output (n, C, positions) for codes (n, L)."""
    kept: list[Tensor] = []
    # A copy, because later layers can overwrite the output.
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
    """Returns, for each filter, the tasks whose logits change most with the output of a sequence without its motif."""
    size = min(settings.sample, len(codes) // 2)
    orders = [np.argsort(-highest, kind="stable") for highest in best.values()]
    rows = np.array([order[:size] for order in orders], dtype=np.int64).ravel()
    donors = np.array([order[::-1][:size] for order in orders], dtype=np.int64).ravel()
    channels = np.repeat(np.array(list(best), dtype=np.int64), size)
    read, place = np.unique(rows, return_inverse=True)
    own = _logits(model, codes, read)[place]
    other = np.empty_like(own)
    for part in batches(rows.size, _BATCH):
        given = _output(model, layer, codes[donors[part]])
        with _exchanged(layer.module, channels[part], given[np.arange(len(given)), channels[part]]):
            other[part] = _logits(model, codes, rows[part])
    change = own - other
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
    """Context that replaces one channel of a module's output per sequence of the batch by outputs (b, positions)."""

    def exchange(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[np.arange(len(channels)), channels] = outputs.view(len(channels), *output.shape[2:])
        return output

    handle = module.register_forward_hook(exchange)
    try:
        yield
    finally:
        handle.remove()
