"""What the baselines need beside the library's own dependencies."""

import importlib.util

PACKAGES = ("gymnasium", "stable_baselines3", "torch")
"""What the extra `baselines` installs."""

_NEEDS = {"sac": PACKAGES}


def packages_of(model: str) -> tuple[str, ...]:
    """Name the packages that training a model needs.

    Args:
        model: Name of a model or baseline.

    Returns:
        Those beside the library's own dependencies.
    """
    return _NEEDS.get(model, ())


def missing_package(model: str) -> str | None:
    """Look for the packages that training a model needs.

    Args:
        model: Name of a model or baseline.

    Returns:
        The first that is not installed, or None.
    """
    absent = (name for name in packages_of(model) if importlib.util.find_spec(name) is None)
    return next(absent, None)
