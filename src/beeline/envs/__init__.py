"""Tasks to learn: finite-horizon decision processes as pure, differentiable functions.

`names` and `descriptions` list them without importing JAX, and `register` adds to them; everything
else is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from beeline.envs._registered import descriptions, names, register

if TYPE_CHECKING:
    from beeline.envs._base import Environment
    from beeline.envs._constrained import Constrained
    from beeline.envs._contract import check
    from beeline.envs._control_system import ControlSystem, ControlTask
    from beeline.envs._from_gymnasium import from_gymnasium
    from beeline.envs._from_jax import from_jax
    from beeline.envs._make import make
    from beeline.envs._simulator import Simulator
    from beeline.envs._simulator_error import SimulatorError
    from beeline.envs._transition import reward_of
    from beeline.envs._violations import CheckReport, ContractError, Violation

__all__ = [
    "CheckReport",
    "Constrained",
    "ContractError",
    "ControlSystem",
    "ControlTask",
    "Environment",
    "Simulator",
    "SimulatorError",
    "Violation",
    "check",
    "descriptions",
    "from_gymnasium",
    "from_jax",
    "make",
    "names",
    "register",
    "reward_of",
]

_HOMES = {
    "CheckReport": "beeline.envs._violations",
    "Constrained": "beeline.envs._constrained",
    "ContractError": "beeline.envs._violations",
    "ControlSystem": "beeline.envs._control_system",
    "ControlTask": "beeline.envs._control_system",
    "Environment": "beeline.envs._base",
    "Simulator": "beeline.envs._simulator",
    "SimulatorError": "beeline.envs._simulator_error",
    "Violation": "beeline.envs._violations",
    "check": "beeline.envs._contract",
    "from_gymnasium": "beeline.envs._from_gymnasium",
    "from_jax": "beeline.envs._from_jax",
    "make": "beeline.envs._make",
    "reward_of": "beeline.envs._transition",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
