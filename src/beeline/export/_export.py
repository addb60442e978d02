"""Write a policy to one file that runs without Beeline."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from beeline._choices import choose
from beeline._module import Module
from beeline.config._catalogue import located
from beeline.envs import Environment
from beeline.export._exportable import Exportable, single_precision
from beeline.export._formats import FORMATS, ExportError
from beeline.policies import Policy
from beeline.storage.atomic import replacing


def export_policy(
    policy: Policy | Module,
    env: Environment,
    out: str | Path,
    *,
    to: str = "numpy",
    overwrite: bool = False,
    about: Mapping[str, Any] | None = None,
    beside: Mapping[str, Any] | None = None,
) -> Path:
    """Write a policy to one file that runs without Beeline, or its weights to exchange.

    The file takes states in physical units, with the index of the step if the policy sees time, and
    gives the action without noise in physical units. It computes in single precision.

    Args:
        policy: The policy; for `numpy` and `onnx`, one of the library's.
        env: Its environment, which says what the entries are and which bounds actions have.
        out: The file.
        to: A name in `FORMATS`.
        overwrite: Whether another file there may be replaced.
        about: More to say in the file's metadata, as plain JSON.
        beside: What was learned with the policy, such as a world model, by name; only `safetensors`
            has room for it.

    Returns:
        The file.

    Raises:
        ExportError: If there is no such format, the file cannot be written, or the policy cannot
            be exported to it.
    """
    out = Path(out)
    _check_target(out, overwrite)
    try:
        encode = located(choose("format", to, FORMATS).encode)
    except ValueError as error:
        raise ExportError(str(error)) from None
    if not isinstance(policy, Policy):
        raise ExportError(
            f"a {type(policy).__name__} is no beeline.policies.Policy: what acts on the episode so "
            "far, as the online decision transformer does, cannot be exported"
        )
    with jax.enable_x64(False):
        single, around = single_precision(policy), single_precision(env)
        rest = {name: single_precision(module) for name, module in (beside or {}).items()}
        content = encode(Exportable(single, around, dict(about or {}), rest))
    try:
        with replacing(out) as file:
            file.write(content)
    except (PermissionError, FileNotFoundError, FileExistsError) as error:
        raise ExportError(f"cannot write {out}: {error.strerror}") from error
    return out


def _check_target(out: Path, overwrite: bool) -> None:
    if out.is_dir():
        raise ExportError(f"{out} is a folder: name a file with --out")
    if out.exists() and not overwrite:
        raise ExportError(f"{out} is there already: replace it with --overwrite, or change --out")
    if not out.parent.is_dir():
        raise ExportError(f"there is no folder {out.parent}: make it, or change --out")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise ExportError(f"cannot write to {out.parent}: name another file with --out")
