"""Diagnostics of the gradients that a world model gives, for any model."""

from beeline.diagnostics.alignment import (
    Alignment,
    align,
    default_route,
    policy_gradient_norms,
    policy_gradients,
)
from beeline.diagnostics.figures import (
    alignment_figure,
    growth_figure,
    landscape_figure,
    path_figure,
    save_figure,
)
from beeline.diagnostics.growth import GrowthFit, LineFit, fit_growth, geometric_mean
from beeline.diagnostics.jacobians import (
    PathMap,
    action_jacobian,
    first_action_norms,
    path_map,
)
from beeline.diagnostics.landscape import (
    Comparison,
    compare_landscapes,
    first_action_landscape,
    policy_direction,
    policy_landscape,
    roughness,
)
from beeline.diagnostics.probe import Probe, probe
from beeline.diagnostics.tables import Table
from beeline.gradients import open_loop

__all__ = [
    "Alignment",
    "Comparison",
    "GrowthFit",
    "LineFit",
    "PathMap",
    "Probe",
    "Table",
    "action_jacobian",
    "align",
    "alignment_figure",
    "compare_landscapes",
    "default_route",
    "first_action_landscape",
    "first_action_norms",
    "fit_growth",
    "geometric_mean",
    "growth_figure",
    "landscape_figure",
    "open_loop",
    "path_figure",
    "path_map",
    "policy_direction",
    "policy_gradient_norms",
    "policy_gradients",
    "policy_landscape",
    "probe",
    "roughness",
    "save_figure",
]
