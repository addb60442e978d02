"""A policy as a program of StableHLO, with a free batch size."""

import io
import json
import zipfile
from typing import Any

import jax
import jax.export
import jax.numpy as jnp

from beeline.export._exportable import Exportable

PROGRAM, METADATA = "program", "metadata.json"
PLATFORMS = ("cpu", "cuda", "tpu")


def encode(exportable: Exportable) -> bytes:
    """Write a policy's program.

    Args:
        exportable: The policy.

    Returns:
        The content of the file: a ZIP archive of what `jax.export` serialises and the metadata.
    """
    (batch,) = jax.export.symbolic_shape("batch")
    act = jax.jit(exportable.act)
    # A program of a free batch size keeps inputs that it does not read; one of a fixed size tells.
    fixed = jax.export.export(act)(*_inputs(exportable, 2))
    sees_time = 1 in fixed.module_kept_var_idx
    if sees_time:
        program = jax.export.export(act, platforms=PLATFORMS)(*_inputs(exportable, batch))
    else:
        timeless = jax.jit(lambda state: exportable.act(state, jnp.zeros(state.shape[:1], int)))
        program = jax.export.export(timeless, platforms=PLATFORMS)(_inputs(exportable, batch)[0])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        metadata = json.dumps(exportable.metadata(sees_time=sees_time), allow_nan=False)
        archive.writestr(zipfile.ZipInfo(METADATA), metadata)
        archive.writestr(zipfile.ZipInfo(PROGRAM), bytes(program.serialize()))
    return file.getvalue()


def _inputs(exportable: Exportable, batch: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
    state = jax.ShapeDtypeStruct((batch, exportable.env.state_dim), jnp.float32)
    return state, jax.ShapeDtypeStruct((batch,), jnp.int32)
