"""Designs sequences with a high predicted logit for a task, or for one task and not another.

`design_sequences` does all of it. A method is a function of a `Problem`, which holds the score, the positions that may
change, the cost of evaluations and the best sequences so far.
"""

from noncoder.config import DesignConfig
from noncoder.interpret.design.designed import Design
from noncoder.interpret.design.making import design_sequences
from noncoder.interpret.design.problem import Objective, Problem

__all__ = ["Design", "DesignConfig", "Objective", "Problem", "design_sequences"]
