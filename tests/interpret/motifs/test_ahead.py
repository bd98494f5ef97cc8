"""Compilation in advance covers the functions that an interpretation calls."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

from noncoder.interpret.motifs.ahead import compile_ahead


def test_patterns_are_found_and_compared() -> None:
    """Without a pattern, the comparison of motifs would not be compiled."""
    patterns, motifs = compile_ahead()
    assert patterns >= 1
    assert motifs >= 25
    kernels = vars(sys.modules["memelite.tomtom"]).values()
    compiled = [one for one in kernels if isinstance(one, Dispatcher) and one.signatures]
    assert compiled


@pytest.mark.long
def test_nothing_is_compiled_afterwards(tmp_path: Path) -> None:
    """A second process finds everything in the cache and writes no further file."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    counts = []
    for code in ("compile_ahead()", "compile_ahead()"):
        script = f"from noncoder.interpret.motifs.ahead import compile_ahead; {code}"
        subprocess.run([sys.executable, "-c", script], check=True, env=environment)
        counts.append(len(list(tmp_path.rglob("*.nbc"))))
    assert counts[0] == counts[1] > 20
