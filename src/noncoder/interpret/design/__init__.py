"""Sequences made to please a task, or one task and not another: what a model wants to see.

`design_sequences` does all of it. A method is a function of a `Problem`, which knows the score, what may change, what
an evaluation costs and what was best so far.
"""

from noncoder.config import DesignConfig
from noncoder.interpret.design.designed import Design
from noncoder.interpret.design.making import design_sequences
from noncoder.interpret.design.problem import Objective, Problem

__all__ = ["Design", "DesignConfig", "Objective", "Problem", "design_sequences"]
