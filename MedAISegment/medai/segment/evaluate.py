"""Agreement of label maps: overlap, surface distances and volume error per segment, with intervals over many cases.

The parts are in :mod:`medai.segment.evaluation`; the definitions of empty cases are the table of :class:`Score`.
"""

from __future__ import annotations

from .evaluation.cases import evaluate_files, find_cases
from .evaluation.result import Evaluation
from .evaluation.score import METRICS, Score, compare
from .evaluation.settings import EvaluateSettings
from .evaluation.summary import Summary, summaries, summarise

__all__ = [
    "METRICS",
    "EvaluateSettings",
    "Evaluation",
    "Score",
    "Summary",
    "compare",
    "evaluate_files",
    "find_cases",
    "summaries",
    "summarise",
]
