"""Progress bars."""

from __future__ import annotations

from functools import partial

from tqdm import tqdm

progress_bar = partial(tqdm, delay=2, disable=None)
"""A bar that appears after two seconds, and not at all if standard error is no terminal; arguments as tqdm's."""
