"""Where a result comes from: versions, revision, date."""

import datetime
import importlib.metadata
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import beeline

_PACKAGES = ("beeline", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy")


def provenance(beside: Sequence[str] = ()) -> dict[str, Any]:
    """Say what is needed to repeat a run.

    Args:
        beside: More packages that compute.

    Returns:
        The versions of Python and of the packages that compute, the platform, the revision of
        the checkout that the package runs from or None, the number of devices that share the
        work, the type of the numbers, and the time in UTC.
    """
    versions = {"python": platform.python_version()}
    for package in (*_PACKAGES, *beside):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "unknown"
    return {
        "versions": versions,
        "platform": platform.platform(),
        "devices": jax.local_device_count(),
        "precision": str(jnp.result_type(float)),
        "git_revision": git_revision(Path(beeline.__file__).parent),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def git_revision(folder: Path) -> str | None:
    """Name the commit that a folder's files are tracked in.

    Args:
        folder: The folder.

    Returns:
        The commit, with "-dirty" behind it if tracked files were changed since; None if git
        does not track the folder or is not there.
    """

    def git(*command: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *command],
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=10,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An installed copy may lie inside somebody else's checkout, in an ignored environment.
    if not git("ls-files", "--", "__init__.py"):
        return None
    revision = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{revision}-dirty" if revision and changed else revision
