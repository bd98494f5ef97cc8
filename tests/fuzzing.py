"""How many examples property tests of parsers try: few in the suite, thousands with NONCODER_EXAMPLES=5000."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("NONCODER_EXAMPLES", "60"))

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="NONCODER_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""Decorator of property tests that feed mutated files to a parser."""
