"""Candidates to choose from, and why."""

from __future__ import annotations

from app.evaluation import pareto
from app.evaluation.pareto import ParetoAim

AIMS = (ParetoAim("good", True, "is better", 0.01), ParetoAim("copies", False, "copies less", 0.002))


def test_only_what_no_other_beats_is_a_candidate_and_says_why() -> None:
    values = {
        1: {"good": 0.8, "copies": 0.01},
        2: {"good": 0.9, "copies": 0.03},
        3: {"good": 0.79, "copies": 0.05},
        4: {},
    }
    assert pareto.front(values, AIMS) == [1, 2]
    assert pareto.reasons(1, [2], values, AIMS) == ["copies less"]
    assert pareto.reasons(2, [1], values, AIMS) == ["is better"]


def test_a_difference_that_is_none_beats_nobody() -> None:
    values = {1: {"good": 0.8}, 2: {"good": 0.805}}
    assert pareto.front(values, AIMS) == [1, 2]
    assert pareto.reasons(2, [1], values, AIMS) == []


def test_what_is_known_of_one_alone_decides_nothing() -> None:
    values = {1: {"good": 0.8}, 2: {"copies": 0.0}}
    assert pareto.front(values, AIMS) == [1, 2]
