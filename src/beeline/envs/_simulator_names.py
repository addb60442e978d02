"""What the names of simulators begin with; nothing here imports JAX or a simulator."""

from beeline.envs._gymnasium_names import PREFIX

SUITES = {"gymnax": "gymnax", "brax": "brax", "playground": "mujoco_playground"}
"""Suites of environments written in JAX: the module of each by the package that holds it."""

PREFIXES = (PREFIX, *(f"{suite}:" for suite in SUITES))
"""What the name of a simulator begins with."""


def is_looked_up(name: str) -> bool:
    """Tell whether a name is Gymnasium's or a suite's own, so that making it imports nothing else.

    Args:
        name: Any name, such as one that a file gives.

    Returns:
        Whether it begins with one of `PREFIXES` and names no module.
    """
    return name.startswith(PREFIXES) and ":" not in name.partition(":")[2]
