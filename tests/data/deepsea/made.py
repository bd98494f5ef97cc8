"""Makes files in the layout of DeepSEA's bundle, as its authors' tools wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

# A, G, C, T of each code.
_HOT = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=np.uint8)


def cut_windows(genome: Bytes, bins: NDArray[np.integer], window: int = 60, bin: int = 20) -> Bytes:
    """Windows (n, L) around bins, which are numbered from the first whose window lies in the genome."""
    return np.stack([genome[b * bin : b * bin + window] for b in bins])


def both_strands(codes: Bytes, labels: Bytes) -> tuple[Bytes, Bytes]:
    """One-hot (2n, 4, L) in the order A, G, C, T and labels (2n, T): the windows, then their reverse complements."""
    x = _HOT[codes].transpose(0, 2, 1)
    return np.concatenate([x, x[:, ::-1, ::-1]]), np.concatenate([labels, labels])


def write_bundle(
    folder: Path, splits: Mapping[str, tuple[Bytes, Bytes]], compressed: bool = True, chunks: bool = False
) -> Path:
    """Writes one-hot (n, 4, L) and labels (n, T) of each split: train as HDF5, the others as MATLAB's version 5."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, (x, y) in splits.items():
        if split == "train":
            with h5py.File(folder / "train.mat", "w", userblock_size=512) as file:
                for name, values in (("trainxdata", x.transpose(2, 1, 0)), ("traindata", y.T)):
                    file.create_dataset(name, data=values, chunks=True if chunks else None)
        else:
            arrays = {f"{split}xdata": x, f"{split}data": y}
            scipy.io.savemat(folder / f"{split}.mat", arrays, do_compression=compressed)
    return folder
