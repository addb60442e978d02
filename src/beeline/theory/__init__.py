"""The paper's statements as checks that can fail, for any model and on small instances."""

from beeline.theory import bounds, statements
from beeline.theory.checks import (
    Check,
    Claim,
    check_corollary_21,
    check_corollary_22,
    check_gradient,
    check_influence,
    check_summed_slopes,
    check_theorem_1,
    check_theorem_2,
)
from beeline.theory.equalities import check_equal_gradients, check_remark_1
from beeline.theory.figures import Panel, check_figure

__all__ = [
    "Check",
    "Claim",
    "Panel",
    "bounds",
    "check_corollary_21",
    "check_corollary_22",
    "check_equal_gradients",
    "check_figure",
    "check_gradient",
    "check_influence",
    "check_remark_1",
    "check_summed_slopes",
    "check_theorem_1",
    "check_theorem_2",
    "statements",
]
