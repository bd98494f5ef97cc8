"""Seconds for all substitutions of one sequence of 1,000 bp: brute force, ours, and tangermeme's `fast=True`.

    python benchmarks/mutagenesis.py                                    # deepsea, danq, wideresnet-txl; 919 tasks
    python benchmarks/mutagenesis.py --models compact deepatt --tasks 16 --repeats 5
    python benchmarks/mutagenesis.py --device cuda --batch 256 512 1024

Models have random weights and run in float32, in evaluation mode. Brute force takes the fastest of some batch sizes,
found on a part of the sequence, and so does the peer. Repeats of the three alternate; a ratio is the median of the
repeats' ratios, so that the machine's mood cancels out. The peer decides by itself whether its fast way pays: where it
declines, its reason is printed, and what is measured is what it does instead.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from noncoder.interpret.mutagenesis import mutate
from noncoder.models import SequenceModel, create_model, list_models
from noncoder.sequence.encoding import one_hot

WINDOW = 1000
PART = 48
"""Positions on which batch sizes are tried."""

Effects = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["deepsea", "danq", "wideresnet-txl"], choices=list_models())
    parser.add_argument("--tasks", type=int, default=919)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 64, 128, 256], help="batch sizes to choose from")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-peer", action="store_true", help="leave tangermeme out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| model | brute force | ours | times faster | difference | tangermeme | times faster than it | difference |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    notes = [note for name in arguments.models if (note := row(name, arguments))]
    print("\n" + "\n".join(notes))


def row(name: str, arguments: argparse.Namespace) -> str:
    """Prints a model's line; returns what there is to say about it."""
    torch.manual_seed(0)
    model = create_model(name, arguments.tasks, WINDOW).to(arguments.device).eval()
    codes = np.random.default_rng(0).integers(0, 4, (1, WINDOW), dtype=np.uint8)
    part = (WINDOW // 2, WINDOW // 2 + PART)
    batch = min(arguments.batch, key=lambda size: seconds(lambda: brute(model, codes, size, part))[0])
    ways: dict[str, Callable[[], Effects]] = {
        "brute": lambda: brute(model, codes, batch, (0, WINDOW)),
        "ours": lambda: mutate(model, codes, strategy="auto").substitutions,
    }
    notes = [f"{name}: brute force in batches of {batch}; ours {mutate(model, codes, region=part).strategy}"]
    if not arguments.no_peer:
        peer = Peer(model, codes)
        best = min(arguments.batch, key=lambda size: seconds(lambda: peer(size, part))[0])
        ways["peer"] = lambda: peer(best, (0, WINDOW))
        notes.append(f"tangermeme in batches of {best}")
    times: dict[str, list[float]] = {way: [] for way in ways}
    effects: dict[str, Effects] = {}
    for _ in range(arguments.repeats):
        for way, run in ways.items():
            taken, effects[way] = seconds(run)
            times[way].append(taken)
    cells = [
        name,
        spread(times["brute"], " s"),
        spread(times["ours"], " s"),
        spread(ratios(times, "brute")),
        far(effects),
    ]
    if "peer" in ways:
        cells += [spread(times["peer"], " s"), spread(ratios(times, "peer")), far(effects, "peer")]
        notes += sorted(peer.said)
    print("| " + " | ".join(cells) + " |", flush=True)
    return "; ".join(notes)


def brute(model: SequenceModel, codes: NDArray[np.uint8], batch: int, region: tuple[int, int]) -> Effects:
    """Effects (1, 4, L, T), each mutated sequence by itself."""
    return mutate(model, codes, strategy="brute", region=region, batch_size=batch).substitutions


class Peer:
    """tangermeme's saturation mutagenesis with `fast=True`, and what it says."""

    def __init__(self, model: SequenceModel, codes: NDArray[np.uint8]) -> None:
        self.model, self.x = model, torch.from_numpy(one_hot(codes, np.float32))
        self.device = next(model.parameters()).device
        self.said: set[str] = set()
        module: Any = importlib.import_module("tangermeme.saturation_mutagenesis")
        self.module = module
        module._FAST_MIN_SECONDS = 0.0  # it would not try what it expects to take less than half a minute

    def __call__(self, batch: int, region: tuple[int, int]) -> Effects:
        """Effects (1, 4, region, T)."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            own, mutated = self.module.saturation_mutagenesis(
                self.model, self.x, start=region[0], end=region[1], batch_size=batch, raw_outputs=True,
                device=self.device, fast=True,
            )  # fmt: skip
        self.said |= {str(warning.message).partition(". Pass")[0] for warning in caught}
        effects: Effects = np.asarray((mutated - own[:, None, None]).cpu())
        return effects


def seconds(run: Callable[[], Effects]) -> tuple[float, Effects]:
    """How long a call takes, and what it gives."""
    begin = time.perf_counter()
    effects = run()
    return time.perf_counter() - begin, effects


def ratios(times: dict[str, list[float]], way: str) -> list[float]:
    return [slow / ours for slow, ours in zip(times[way], times["ours"], strict=True)]


def spread(values: list[float], unit: str = "") -> str:
    return f"{statistics.median(values):.2f}{unit} ({min(values):.2f} to {max(values):.2f})"


def far(effects: dict[str, Effects], way: str = "ours") -> str:
    return f"{np.abs(effects[way] - effects['brute']).max():.1e}"


if __name__ == "__main__":
    main()
