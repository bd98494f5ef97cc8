"""Published results on DeepSEA's 919 tasks, each number with definition and source, and the comparison with ours."""

from noncoder.benchmarks.differences import (
    ModelMeans,
    ModelScores,
    compare_with_published,
    model_means,
    task_differences,
)
from noncoder.benchmarks.literature_text import published_text
from noncoder.benchmarks.published import NOT_COMPARABLE, NotComparable, Published, published
from noncoder.benchmarks.task_scores import GROUPS, MODELS, TEST_WINDOWS, Score, task_scores

__all__ = [
    "GROUPS",
    "MODELS",
    "NOT_COMPARABLE",
    "TEST_WINDOWS",
    "ModelMeans",
    "ModelScores",
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
