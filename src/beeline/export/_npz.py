"""A policy as one NumPy archive, without pickle."""

import io
import json
import zipfile

import numpy as np

from beeline.export._exportable import Exportable
from beeline.export._formula import in_numpy


def encode(exportable: Exportable) -> bytes:
    """Write a policy's formula.

    Args:
        exportable: The policy.

    Returns:
        The content of the file, which `numpy_policy.load` reads.
    """
    made = in_numpy(exportable)
    text = np.frombuffer(json.dumps(made.metadata, allow_nan=False).encode(), np.uint8)
    file = io.BytesIO()
    # Not np.savez, whose members carry the time of day.
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in {"metadata": text, **made.arrays}.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return file.getvalue()
