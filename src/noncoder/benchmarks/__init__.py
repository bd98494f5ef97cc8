"""What was published on DeepSEA's 919 tasks, each number with its definition and source, and how ours compares."""

from noncoder.benchmarks.compare import (
    Measured,
    ModelMeans,
    compare_with_published,
    model_means,
    task_differences,
)
from noncoder.benchmarks.published import NOT_COMPARABLE, NotComparable, Published, published
from noncoder.benchmarks.tasks import GROUPS, MODELS, TEST_WINDOWS, Score, task_scores
from noncoder.benchmarks.text import published_text

__all__ = [
    "GROUPS",
    "MODELS",
    "NOT_COMPARABLE",
    "TEST_WINDOWS",
    "Measured",
    "ModelMeans",
    "NotComparable",
    "Published",
    "Score",
    "compare_with_published",
    "model_means",
    "published",
    "published_text",
    "task_differences",
    "task_scores",
]
