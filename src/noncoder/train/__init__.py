"""Training: the only place that knows Lightning."""

from noncoder.train.fit import train
from noncoder.train.run import RunFolder

__all__ = ["RunFolder", "train"]
