"""Plants motifs in a simulated genome, and determines which rules then hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from noncoder.bars import progress_bar
from noncoder.config import SimulateConfig
from noncoder.data.tasks import Task
from noncoder.errors import ConfigError
from noncoder.sequence.encoding import reverse_complement
from noncoder.sequence.motifs import Motif

# Well-known vertebrate factors of 13.8 to 22.8 bits: chance hits in a bin are rare, and none matches another's sites.
# Versions are fixed: later ones are often trimmed below this information.
MOTIF_IDS = (
    "MA0139.2", "MA0037.2", "MA0080.4", "MA0138.3", "MA0506.1",  # CTCF, GATA3, SPI1, REST, NRF1
    "MA0106.3", "MA1494.2", "MA0466.4", "MA0095.2", "MA0148.3",  # TP53, HNF4A, CEBPB, YY1, FOXA1
    "MA0060.2", "MA0478.2", "MA0112.4", "MA0600.3", "MA0052.3",  # NFYA, FOSL2, ESR1, RFX2, MEF2A
    "MA0154.3", "MA0083.1", "MA0090.1", "MA0046.3", "MA0107.1",  # EBF1, SRF, TEAD1, HNF1A, RELA
)  # fmt: skip
MAX_GAP = 30
"""Most bases between the two motifs of a pair; pairs that are planted too far apart have at least twice as many."""

_GC_PERIOD = 50_000  # bp from one GC-rich region to the next
_BLOCK = 4096  # bins planted at once
_MAX_LEFT_OUT = 0.05  # largest fraction of plantings without room
_FORM = np.dtype([("task", np.int64), ("decoy", bool), ("parts", np.int64, 2), ("gap", np.int64, 2)])
_SITE = np.dtype([("bin", np.int64), ("start", np.int64), ("motif", np.int64), ("task", np.int64),
                  ("decoy", bool), ("reverse", bool)])  # fmt: skip

Codes = NDArray[np.uint8]
Integers = NDArray[np.int64]
Records = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule by which a bin is positive for a task.

    Args:
        kind: "single", the motif is present; "pair", both are present with at most `MAX_GAP` bp between them, in either
            order; "without", the motif is present and the other one is not. Strands do not matter.
        motif: Index of the motif in `MOTIF_IDS`.
        other: Index of the other motif; -1 for a single one.
    """

    kind: Literal["single", "pair", "without"]
    motif: int
    other: int = -1

    @property
    def parts(self) -> tuple[int, int]:
        """Both motifs."""
        return self.motif, self.other

    def task(self, motifs: Sequence[Motif]) -> Task:
        """The task of this rule: "CTCF", "GATA3+SPI1" or "REST-NRF1"."""
        name = motifs[self.motif].name
        if self.kind != "single":
            name += ("+" if self.kind == "pair" else "-") + motifs[self.other].name
        return Task(name, group=self.kind)

    def holds(self, present: NDArray[np.bool_], near: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Returns which of n bins are positive, (n,).

        Args:
            present: Whether a motif is in a bin, (n, motifs).
            near: Whether two motifs are in it with at most `MAX_GAP` bp between them, (n, motifs, motifs), symmetric.
        """
        if self.kind == "pair":
            return near[:, self.motif, self.other]
        if self.kind == "without":
            return present[:, self.motif] & ~present[:, self.other]
        return present[:, self.motif]


def list_rules(count: int) -> list[Rule]:
    """Returns the first `count` rules: single, pair and without in turn, until a kind is used up.

    Raises:
        ConfigError: There are fewer rules.
    """
    n = len(MOTIF_IDS)
    # In steps of five, each round of the three kinds has five motifs of its own; later rounds combine them in new ways.
    places = sorted(range(n), key=lambda place: (place % 5, place))
    both = [(i, step) for step in range(1, n) for i in places]
    singles = [Rule("single", i) for i in places]
    # A pair is symmetric, so half the steps give all pairs, and the last step gives each twice.
    near = [(i, step) for i, step in both if 2 * step < n or (2 * step == n and i < step)]
    pairs = [Rule("pair", (i + 1) % n, (i + 1 + step) % n) for i, step in near]
    withouts = [Rule("without", (i + 3) % n, (i + 3 + step) % n) for i, step in both]
    rules = [rule for turn in zip_longest(singles, pairs, withouts) for rule in turn if rule]
    if count > len(rules):
        raise ConfigError(f"tasks {count}", expected=f"at most {len(rules)}, as many as there are rules")
    return rules[:count]


@dataclass(frozen=True)
class SimulationDesign:
    """The design of a simulation.

    Args:
        config: The recipe's section.
        rules: One per task.
        motifs: The motifs of `MOTIF_IDS`, in order.
    """

    config: SimulateConfig
    rules: Sequence[Rule]
    motifs: Sequence[Motif]

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """One task per rule."""
        return tuple(rule.task(self.motifs) for rule in self.rules)

    @cached_property
    def widths(self) -> Integers:
        """Widths of the motifs, and a final 0 for the missing motif, -1."""
        return np.array([motif.width for motif in self.motifs] + [0])

    @cached_property
    def chromosomes(self) -> dict[str, int]:
        """Number of bins of each chromosome; these differ by at most one."""
        each, extra = divmod(self.config.windows, self.config.chromosomes)
        return {f"sim{i + 1}": each + (i < extra) for i in range(self.config.chromosomes)}

    @cached_property
    def forms(self) -> Records:
        """The forms that can be planted: each complete rule, in the order of the tasks, and then the decoys."""
        whole, decoys = [], []
        for task, rule in enumerate(self.rules):
            room = self.config.bin - int(self.widths[list(rule.parts)].sum())
            first, second = ((part, -1) for part in rule.parts)
            if rule.kind == "pair":
                whole.append((task, False, rule.parts, (0, min(MAX_GAP, room))))
                decoys += [(task, True, first, (0, 0)), (task, True, second, (0, 0))]
                if room >= 2 * MAX_GAP:
                    decoys.append((task, True, rule.parts, (2 * MAX_GAP, room)))
                continue
            whole.append((task, False, first, (0, 0)))
            if rule.kind == "without":
                # The motif with its veto occurs twice, since the veto alone is uninformative.
                decoys += [(task, True, rule.parts, (0, room))] * 2 + [(task, True, second, (0, 0))]
        return np.array(whole + decoys, dtype=_FORM)

    def check(self) -> None:
        """Checks that the simulation is possible.

        Raises:
            ConfigError: It is not; the message says why.
        """
        config = self.config
        need, name = max((self.widths[list(rule.parts)].sum(), rule.task(self.motifs).name) for rule in self.rules)
        checks = (
            (config.bin <= config.window and (config.window - config.bin) % 2 == 0,
             f"window {config.window} and bin {config.bin}", "a window wider than the bin by an even number of bp"),
            (0 <= config.gc[0] <= config.gc[1] <= 1, f"gc {config.gc}", "two shares from 0 to 1, the lower first"),
            (config.chromosomes <= config.windows,
             f"windows {config.windows} and chromosomes {config.chromosomes}", "a window for each chromosome"),
            (config.seed >= 0, f"seed {config.seed}", "0 or more"),
            (need <= config.bin, f"bin {config.bin}", f"at least {need}, the width of the motifs of {name}"),
        )  # fmt: skip
        for right, found, expected in checks:
            if not right:
                raise ConfigError(found, expected)


def draw_genome(design: SimulationDesign, rng: np.random.Generator) -> Codes:
    """Draws independent bases, (windows * bin,); the GC content of each chromosome varies as a sine."""
    (low, high), chromosomes = design.config.gc, []
    for bins in design.chromosomes.values():
        length = bins * design.config.bin
        wave = np.sin(2 * np.pi * (np.arange(length) / _GC_PERIOD + rng.random()))
        is_gc = rng.random(length) < low + (high - low) * (1 + wave) / 2
        second = rng.integers(0, 2, length, dtype=np.uint8)
        chromosomes.append(np.where(is_gc, 1 + second, 3 * second))
    return np.concatenate(chromosomes)


def plant(codes: Codes, design: SimulationDesign, rng: np.random.Generator) -> tuple[Records, NDArray[np.bool_]]:
    """Writes motif instances into the codes; returns the sites, sorted by bin and start, and the labels (N, T)."""
    config, whole, left_out = design.config, 0, 0
    sites, labels = [], []
    for first in progress_bar(range(0, config.windows, _BLOCK), "planting motifs", unit="block"):
        n = min(_BLOCK, config.windows - first)
        bins, forms = _draw(n, design, rng)
        starts = _place(bins, forms, n, design, rng)
        whole += int((~forms["decoy"]).sum())
        left_out += int((~forms["decoy"] & (starts < 0)).sum())
        found = _sites(bins, forms, starts, design, rng)
        labels.append(_label(found, n, design))
        found["bin"] += first
        sites.append(found)
    if left_out > _MAX_LEFT_OUT * whole:
        raise ConfigError(
            f"bins of {config.bin} bp have no room for {left_out:,} of {whole:,} plantings",
            expected=f"room for {config.tasks} tasks in a share of {config.positive_rate:g} of the bins each",
            hint="ask for wider bins, fewer tasks or a lower positive_rate",
        )
    planted = np.concatenate(sites)
    for place, motif in enumerate(design.motifs):
        mine = planted[planted["motif"] == place]
        instances = motif.sample(rng, mine.size)
        instances[mine["reverse"]] = reverse_complement(instances[mine["reverse"]])
        codes[(mine["bin"] * config.bin + mine["start"])[:, None] + np.arange(motif.width)] = instances
    return planted, np.concatenate(labels)


def _draw(n: int, design: SimulationDesign, rng: np.random.Generator) -> tuple[Integers, Records]:
    """Draws what to plant in which of n bins: (k,) bins and (k,) forms, randomly swapped, with one gap each."""
    config, forms, n_rules = design.config, design.forms, len(design.rules)
    # Counts are rounded at random, so that fractions hold over many small blocks.
    bins = [rng.choice(n, int(config.positive_rate * n + rng.random()), replace=False) for _ in design.rules]
    which = np.repeat(np.arange(n_rules), [part.size for part in bins])
    if len(forms) > n_rules:
        motifs_each = (forms["parts"][n_rules:] >= 0).sum() / (len(forms) - n_rules)
        decoys = rng.integers(n_rules, len(forms), int(config.decoys * n / motifs_each + rng.random()))
        bins.append(rng.integers(0, n, decoys.size))
        which = np.concatenate([which, decoys])
    drawn = forms[which]
    drawn["gap"] = rng.integers(drawn["gap"][:, 0], drawn["gap"][:, 1] + 1)[:, None]
    swap = (drawn["parts"][:, 1] >= 0) & (rng.random(which.size) < 0.5)
    drawn["parts"][swap] = drawn["parts"][swap, ::-1]
    return np.concatenate(bins), drawn


def _place(bins: Integers, forms: Records, n: int, design: SimulationDesign, rng: np.random.Generator) -> Integers:
    """Draws the start of each form in its bin without overlaps; -1 if there is no room.

    Rules come before decoys, otherwise the order is random: one form of every bin, then the second of every bin with
    two, and so on, each round for all bins at once.
    """
    bin, widths = design.config.bin, design.widths[forms["parts"]]
    left, right = widths[:, 0], widths[:, 1]
    offset = left + forms["gap"][:, 0]
    order = np.lexsort((rng.random(bins.size), forms["decoy"], bins))
    turn = np.arange(bins.size) - np.searchsorted(bins[order], bins[order])
    starts = np.full(bins.size, -1)
    # +1 at a site's start and -1 at its end: the running sum is 1 on sites, and its sum counts their bases.
    edges = np.zeros((n, bin + 1), dtype=np.int8)
    for at in (order[turn == i] for i in range(turn.max(initial=-1) + 1)):
        covered = np.cumsum(edges[bins[at], :bin], axis=1, dtype=np.int32)
        before = np.pad(np.cumsum(covered, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
        free = np.arange(bin) + (offset + right)[at, None] <= bin
        for begin, width in ((np.zeros_like(left), left), (offset, right)):
            first = np.minimum(np.arange(bin) + begin[at, None], bin)
            last = np.minimum(first + width[at, None], bin)
            free &= np.take_along_axis(before, first, axis=1) == np.take_along_axis(before, last, axis=1)
        chosen = np.where(free, rng.random(free.shape), -1).argmax(axis=1)
        fits = free.any(axis=1)
        at, chosen = at[fits], chosen[fits]
        starts[at] = chosen
        for begin, width in ((chosen, left[at]), (chosen + offset[at], right[at])):
            edges[bins[at], begin] += 1
            edges[bins[at], begin + width] -= 1
    return starts


def _sites(
    bins: Integers, forms: Records, starts: Integers, design: SimulationDesign, rng: np.random.Generator
) -> Records:
    """Returns the motifs of the forms that were placed, each on a random strand, sorted by bin and start."""
    sites = np.zeros((bins.size, 2), _SITE)
    sites["bin"], sites["task"], sites["decoy"] = bins[:, None], forms["task"][:, None], forms["decoy"][:, None]
    sites["motif"] = forms["parts"]
    sites["start"][:, 0] = starts
    sites["start"][:, 1] = starts + design.widths[forms["parts"][:, 0]] + forms["gap"][:, 0]
    sites["reverse"] = rng.random(sites.shape) < 0.5
    sites = sites[(sites["motif"] >= 0) & (starts >= 0)[:, None]]
    return sites[np.lexsort((sites["start"], sites["bin"]))]


def _label(sites: Records, n: int, design: SimulationDesign) -> NDArray[np.bool_]:
    """Returns which rules hold in each of n bins, (n, T)."""
    present = np.zeros((n, len(design.motifs)), dtype=bool)
    present[sites["bin"], sites["motif"]] = True
    near = np.zeros((n, len(design.motifs), len(design.motifs)), dtype=bool)
    end = sites["start"] + design.widths[sites["motif"]]
    for apart in range(1, sites.size):
        one, two = sites[:-apart], sites[apart:]
        same = one["bin"] == two["bin"]
        if not same.any():
            break
        close = same & (two["start"] - end[:-apart] <= MAX_GAP)
        one, two = one[close], two[close]
        near[one["bin"], one["motif"], two["motif"]] = near[one["bin"], two["motif"], one["motif"]] = True
    return np.stack([rule.holds(present, near) for rule in design.rules], axis=1)


def flip_labels(labels: NDArray[np.bool_], noise: float, rng: np.random.Generator) -> None:
    """Flips a fraction of each task's positives and equally many negatives, so the prevalence stays the same."""
    for column in labels.T:
        positive, negative = np.flatnonzero(column), np.flatnonzero(~column)
        count = min(round(noise * positive.size), negative.size)
        column[rng.choice(positive, count, replace=False)] = False
        column[rng.choice(negative, count, replace=False)] = True
