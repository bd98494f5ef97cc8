"""The 2020 report's training, as plain PyTorch: its network with HuggingFace's Transformer-XL, its h5py data set.

Written from the description of R. Chaves Moreno's code (github.com/Rvbens/non-coding-DNA-classifier at commit 49de66a);
it needs transformers 4.35.2, the last with Transformer-XL, which the extra `dev` installs. The network has the report's
39,239,447 weights that are used. Its loop here is bare: no Lightning, no logging, no validation.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import h5py
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from noncoder.data.store import Store
from noncoder.sequence.encoding import one_hot


class PlainBlock(nn.Module):
    """A pre-activation bottleneck whose first convolution strides."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        inner = channels_out * 4
        self.norm1, self.conv1 = nn.BatchNorm1d(channels_in), nn.Conv1d(channels_in, inner, 1, stride=2, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm1d(inner), nn.Conv1d(inner, inner, 3, padding=1, bias=False)
        self.norm3, self.conv3 = nn.BatchNorm1d(inner), nn.Conv1d(inner, channels_out, 1, bias=False)
        self.shortcut_norm = nn.BatchNorm1d(channels_in)
        self.shortcut = nn.Conv1d(channels_in, channels_out, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, L) -> (N, 2 C, ceil(L / 2))."""
        y = self.conv1(F.relu(self.norm1(x)))
        y = self.conv3(F.relu(self.norm3(self.conv2(F.relu(self.norm2(y))))))
        z: Tensor = y + self.shortcut(F.relu(self.shortcut_norm(x)))
        return z


class ReportNetwork(nn.Module):
    """Codes (N, 1000) -> logits (N, tasks)."""

    def __init__(self, tasks: int = 919) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from transformers import TransfoXLConfig, TransfoXLModel

            self.transformer = TransfoXLModel(
                TransfoXLConfig(
                    vocab_size=4, d_embed=8, d_model=256, n_head=4, d_head=16, d_inner=256, n_layer=6, mem_len=256,
                    tgt_len=0, ext_len=0, cutoffs=[1],
                )
            )  # fmt: skip
        self.embedding = nn.Embedding(4, 64)
        self.stem = nn.Conv1d(64, 32, 7, padding=3, bias=False)
        self.blocks = nn.Sequential(PlainBlock(32, 64), PlainBlock(64, 128), PlainBlock(128, 256))
        self.norm, self.dropout = nn.BatchNorm1d(256), nn.Dropout(0.2)
        hidden = nn.Linear(125 * 512, 512, bias=False)
        self.head = nn.Sequential(hidden, nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, tasks))

    def forward(self, codes: Tensor) -> Tensor:
        """(N, 1000) -> (N, tasks)."""
        x = self.blocks(self.stem(self.embedding(codes).transpose(1, 2)))
        x = self.dropout(F.relu(self.norm(x))).transpose(1, 2)
        y = self.transformer(inputs_embeds=x)[0]
        logits: Tensor = self.head(torch.cat([x, y], dim=2).flatten(1))
        return logits


class RowsFirst(Dataset[tuple[Tensor, Tensor]]):
    """The report's converted file: one-hot bytes (rows, 1000, 4) and label bytes, a row at a time through h5py."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with h5py.File(path) as file:
            self.rows = len(file["x"])
        self.file: h5py.File | None = None  # opened in the process that reads

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        if self.file is None:
            self.file = h5py.File(self.path)
        codes = torch.from_numpy(self.file["x"][row]).argmax(dim=1)
        return codes, torch.from_numpy(self.file["y"][row]).float()


def write_rows_first(store: Store, rows: int, path: Path) -> None:
    """Writes the first windows of a store as the report's file."""
    with h5py.File(path, "w") as file:
        x = file.create_dataset("x", (rows, store.window, 4), "u1")
        y = file.create_dataset("y", (rows, len(store.tasks)), "u1")
        for at in range(0, rows, 2048):
            codes, labels = store.read(range(at, min(at + 2048, rows)))
            x[at : at + len(codes)] = one_hot(codes).transpose(0, 2, 1)
            y[at : at + len(codes)] = labels


class ReportTraining:
    """The report's loop: Adam at 1e-4, the mean binary cross-entropy, four batches of 25 a step, float32.

    Args:
        path: The file of `write_rows_first`.
        device: Where to train.
        workers: Processes that read.
        batch: Windows a batch.
        accumulate: Batches a step.
    """

    def __init__(self, path: Path, device: torch.device, workers: int, batch: int = 25, accumulate: int = 4) -> None:
        self.network = ReportNetwork().to(device).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-4)
        self.device, self.batch, self.accumulate = device, batch, accumulate
        self.loader = DataLoader(
            RowsFirst(path), batch, shuffle=True, num_workers=workers, pin_memory=device.type == "cuda", drop_last=True,
            persistent_workers=workers > 0,
        )  # fmt: skip
        self.batches = self._endless()

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def run(self, steps: int) -> float:
        """Seconds for so many optimiser steps."""
        self._wait()
        began = time.perf_counter()
        for _ in range(steps):
            for _ in range(self.accumulate):
                codes, labels = (part.to(self.device, non_blocking=True) for part in next(self.batches))
                loss = F.binary_cross_entropy_with_logits(self.network(codes), labels)
                (loss / self.accumulate).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.optimizer.zero_grad()
        self._wait()
        return time.perf_counter() - began

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
