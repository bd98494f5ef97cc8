"""Transformer-XL (Dai et al. 2019, arXiv:1901.02860) as a layer on vectors: relative positions, memory, untied biases.

With the same weights it gives what HuggingFace's `TransfoXLModel` gives, which transformers has dropped. Two things
make it faster:

- A memory of zeros, which is what a first call sees, needs no keys: its slots have the value zero and a score that
  depends on the distance alone. All of them together are one more key, whose score is the logarithm of the sum of the
  exponentials of theirs. Where nothing is trained, on a CPU, it is faster to let each take part in the softmax.
- What depends on positions is a bias on the scores, so that PyTorch's fused attention does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.errors import ConfigError
from noncoder.models.layers.attention import FeedForward, HeadConvolution, attend, initialise_normal
from noncoder.models.layers.dropout import Dropout
from noncoder.models.layers.slots import attend_beside_slots, skew, zero_memory_score

_FARTHEST = 1000  # distances beyond count as this one; HuggingFace's clamp_len
_ALIGNED = 8  # a GPU's matrix units take rows of such multiples; some distances that nobody sees fill them up


class Reach(NamedTuple):
    """Which keys a query sees.

    Attributes:
        causal: Only itself and what lies before it.
        slots: Slots of memory before the first position.
        same_length: Only the `slots` nearest, itself among them: every query sees equally many.
    """

    causal: bool = True
    slots: int = 0
    same_length: bool = False

    def hides(self, distance: Tensor) -> Tensor:
        """Whether a query does not see a key that lies this far before it."""
        hidden = distance < 0 if self.causal else torch.zeros_like(distance, dtype=torch.bool)
        return hidden | (distance >= self.slots) if self.same_length else hidden


class RelativeAttention(nn.Module):
    """Attention whose scores depend on content and on relative position, added to its input; the sum is normed.

    Args:
        width: d of (N, L, d).
        heads: H.
        head_width: Width of a head's queries, keys and values, D.
        reach: Which keys a query sees.
        kernel: Width of the convolution in each head's queries, keys and values; 1 for none.
        dropout: Dropout of what the heads add.
    """

    def __init__(
        self, width: int, heads: int, head_width: int, reach: Reach, kernel: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.heads, self.head_width, self.reach = heads, head_width, reach
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.convolution = HeadConvolution(3 * heads * head_width, kernel, reach.causal)
        self.position = nn.Linear(width, heads * head_width, bias=False)
        self.content_bias = nn.Parameter(torch.empty(heads, head_width))
        self.position_bias = nn.Parameter(torch.empty(heads, head_width))
        self.output = nn.Linear(heads * head_width, width, bias=False)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, view: View, memory: Tensor | None = None) -> Tensor:
        """Attends from x to itself and to what came before.

        Args:
            x: (N, L, d).
            view: The positions of queries and keys, for this L and memory.
            memory: The layer's earlier inputs, (N, M, d); None for none, or for `reach.slots` vectors of zeros.

        Returns:
            (N, L, d).
        """
        query, key, value = self.project(x if memory is None else torch.cat([memory, x], dim=1))
        return self.mix(x, query[:, :, -x.shape[1] :], key, value, view)

    def project(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of inputs (N, M + L, d): each (H, N, M + L, D)."""
        qkv = self.convolution(self.qkv(context)).unflatten(2, (3, self.heads, self.head_width))
        query, key, value = qkv.permute(2, 3, 0, 1, 4)  # the heads lead, positions are theirs
        return query, key, value

    def mix(self, x: Tensor, query: Tensor, key: Tensor, value: Tensor, view: View) -> Tensor:
        """What the queries find, added to their inputs; the sum is normed.

        Args:
            x: Inputs of the queries, (N, L, d).
            query: (H, N, L, D).
            key: Of the inputs and of what came before, (H, N, M + L, D).
            value: As the keys.
            view: The positions of these queries and keys.

        Returns:
            (N, L, d).
        """
        batch, length, _ = x.shape
        position = self.position(view.waves).unflatten(1, (self.heads, self.head_width)).permute(1, 2, 0)  # (H, D, R)
        scale = self.head_width**-0.5
        rows = ((query + self.position_bias[:, None, None]) * scale).reshape(
            self.heads, batch * length, self.head_width
        )
        query = (query + self.content_bias[:, None, None]) * scale
        if view.blocked.shape[1] > key.shape[2]:
            attended = attend_beside_slots(query, rows.view(query.shape), key, value, position, view.blocked)
        else:
            near = (rows @ position[:, :, -view.near :]).view(self.heads, batch, length, view.near)
            bias = skew(near, key.shape[2]) + view.blocked
            if view.zeros is not None:
                score = zero_memory_score(rows, position[:, :, : view.zeros.shape[-1]], view.zeros)
                bias = torch.cat([bias, score.view(self.heads, batch, length, 1)], dim=-1)
                key, value = F.pad(key, (0, 0, 0, 1)), F.pad(value, (0, 0, 0, 1))
            attended = attend(query, key, value, bias)
        y: Tensor = self.norm(x + self.dropout(self.output(attended.permute(1, 2, 0, 3).flatten(2))))
        return y


class TransformerXL(nn.Module):
    """Layers of relative attention and feed-forward parts.

    Args:
        width: d of (N, L, d).
        layers: How many.
        heads: Attention heads a layer.
        head_width: Width of a head.
        inner: Units of the feed-forward parts.
        reach: Which keys a query sees. Without memory in the call, a causal reach sees slots of zeros, as HuggingFace's
            model does.
        kernel: Width of the convolutions in the heads; 1 for none.
        dropout: Dropout of the input, the positions, what each part adds, and the output.

    Raises:
        ConfigError: A window of as many keys as there are slots, without slots; or memory where both sides are seen.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        head_width: int,
        inner: int,
        reach: Reach,
        kernel: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if reach.same_length and not reach.slots:
            raise ConfigError("same_length without memory", expected="as many keys a query as there are slots")
        if reach.slots and not reach.causal:
            raise ConfigError("memory in a bidirectional Transformer-XL", expected="no slots")
        self.reach = reach
        self.dropout = Dropout(dropout)
        self.attentions = nn.ModuleList(
            RelativeAttention(width, heads, head_width, reach, kernel, dropout) for _ in range(layers)
        )
        self.feed_forwards = nn.ModuleList(FeedForward(width, inner, nn.ReLU(), dropout) for _ in range(layers))
        initialise_normal(self)

    def forward(self, x: Tensor, memory: Sequence[Tensor] | None = None) -> Tensor:
        """(N, L, d) -> (N, L, d); `memory` as `recur` gives it."""
        return self._layers(x, memory)[0]

    def recur(self, x: Tensor, memory: Sequence[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """The output, and the memory for the segment that follows.

        Args:
            x: (N, L, d).
            memory: What the segments before left, one (N, M, d) a layer; None for slots of zeros.

        Returns:
            (N, L, d), and the last `reach.slots` inputs of each layer, without gradients.
        """
        y, inputs = self._layers(x, memory)
        if memory is None:
            memory = [x.new_zeros(x.shape[0], self.reach.slots, x.shape[2])] * len(inputs)
        kept = [torch.cat([old, new], dim=1) for old, new in zip(memory, inputs, strict=True)]
        return y, [both[:, max(0, both.shape[1] - self.reach.slots) :].detach() for both in kept]

    def _layers(self, x: Tensor, memory: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        view = make_view(x, 0 if memory is None else memory[0].shape[1], memory is None, self.reach)
        view = view._replace(waves=self.dropout(view.waves))
        x, inputs = self.dropout(x), []
        for i, (attention, feed_forward) in enumerate(zip(self.attentions, self.feed_forwards, strict=True)):
            inputs.append(x)
            x = feed_forward(attention(x, view, None if memory is None else memory[i]))
        return self.dropout(x), inputs


class View(NamedTuple):
    """Where queries and keys lie, the same for all layers.

    Attributes:
        waves: The sinusoids of all distances between them, from the farthest to the nearest, (R, d).
        near: How many distances, counted from the nearest, there are to keys that are vectors.
        blocked: Added to the scores of these keys, (L, M + L): 0, or minus infinity where a query does not see one.
        zeros: The same for slots of zero memory, by distance from the farthest down, (L, R'); None without them.
    """

    waves: Tensor
    near: int
    blocked: Tensor
    zeros: Tensor | None


def make_view(x: Tensor, before: int, fresh: bool, reach: Reach) -> View:
    """The view from L queries.

    Args:
        x: Their inputs, (N, L, d).
        before: Vectors before the first query, M: memory, or earlier positions of the same sequence.
        fresh: Whether slots of zeros stand before the sequence, in place of memory.
        reach: Which keys a query sees.
    """
    length, device = x.shape[1], x.device
    # One step ahead has to be there for `skew`, although no causal query sees it.
    nearest = -1 if reach.causal else min(-1, 1 - length)
    farthest = before + length - 1
    query = torch.arange(length, device=device)[:, None]
    ahead = query + before - torch.arange(before + length, device=device)
    zeros = None
    out_of_sight = before + 1 if reach.same_length else 0
    sees_slots = fresh and reach.causal and reach.slots > out_of_sight
    if sees_slots and _slots_are_keys(x):
        slots = reach.slots - out_of_sight
        ahead = query + before - torch.arange(-slots, before + length, device=device)
        waves = _sinusoids(torch.arange(farthest + slots, nearest - 1, -1, device=device), x)
        return View(waves, len(waves), _blocked(reach.hides(ahead), x.dtype), None)
    if sees_slots:
        place = query + before  # in the sequence: the slots lie before its first position
        farthest = max(farthest, reach.slots - 1 if reach.same_length else farthest + reach.slots)
        lowest = before + 1
        lowest -= (lowest - 1 - farthest) % _ALIGNED
        distance = torch.arange(farthest, lowest - 1, -1, device=device)
        zeros = _blocked((distance <= place) | (distance > place + reach.slots) | reach.hides(distance), x.dtype)
        nearest = min(nearest, lowest)
    nearest -= (nearest - before - length) % _ALIGNED
    waves = _sinusoids(torch.arange(farthest, nearest - 1, -1, device=device), x)
    return View(waves, before + length - nearest, _blocked(reach.hides(ahead), x.dtype), zeros)


def _slots_are_keys(x: Tensor) -> bool:
    """Whether slots of zero memory take part in the softmax one by one: on a CPU, where nothing is trained.

    It is the fastest there; a backward pass would keep their weights, and a GPU's fused attention writes none.
    """
    full = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    return full and not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling())


def _blocked(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(hidden.shape, device=hidden.device, dtype=dtype).masked_fill(hidden, float("-inf"))


def _sinusoids(distance: Tensor, like: Tensor) -> Tensor:
    """Sines, then cosines of distances (R,) at d / 2 frequencies: (R, d), of the type of `like`."""
    width = like.shape[-1]
    frequency = 1 / 10000 ** (torch.arange(0, width, 2, device=like.device, dtype=torch.float32) / width)
    angle = torch.outer(distance.clamp(max=_FARTHEST).float(), frequency)
    return torch.cat([angle.sin(), angle.cos()], dim=-1).to(like.dtype)
