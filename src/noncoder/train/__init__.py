"""Training: the only place that knows Lightning."""

from noncoder.train.fit import RunFolder, train

__all__ = ["RunFolder", "train"]
