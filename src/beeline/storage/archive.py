"""Members of a NumPy archive that somebody else may have written: no pickle, no belief in sizes."""

import io
import math
import warnings
from typing import Any, BinaryIO

import numpy as np
from typing_extensions import override

from beeline.storage.untrusted import UntrustedError, shorten

LARGEST_READ = 2**23
"""Bytes that are read at once."""

_LONGEST_HEADER = 1024
"""A longer one could be nested so deeply that parsing it takes all memory."""


class Sparing(io.BufferedIOBase):
    """Refuses to read much at once, for the archive's directory declares its own size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        asked = LARGEST_READ + 1 if size is None or size < 0 else size
        content = self._file.read(min(asked, LARGEST_READ + 1))
        if len(content) > LARGEST_READ:
            raise UntrustedError("the archive has a directory that is too large")
        return content

    @override
    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    @override
    def tell(self) -> int:
        return self._file.tell()

    @override
    def seekable(self) -> bool:
        return True


def read_header(member: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read what a member says of its array.

    Args:
        member: The open member.

    Returns:
        Its shape, whether its entries are in Fortran's order, and their type.

    Raises:
        UntrustedError: If it is no header.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if np.lib.format.read_magic(member) == (1, 0):
                return np.lib.format.read_array_header_1_0(member, _LONGEST_HEADER)
    except (ValueError, UserWarning) as error:
        # NumPy would advise to trust the file.
        raise UntrustedError(f"the header of {shorten(member.name)} is not one") from error
    raise UntrustedError(f"the header of {shorten(member.name)} has an unknown version")


def read_content(
    member: Any, size: int, shape: tuple[int, ...], fortran: bool, kind: np.dtype[Any]
) -> np.ndarray:
    """Read the array of a member whose header was read.

    Args:
        member: The open member.
        size: Bytes that it is said to have, its header included.
        shape: Shape of the array.
        fortran: Whether its entries are in Fortran's order.
        kind: Their type, which holds no objects.

    Returns:
        The array.

    Raises:
        UntrustedError: If the array is larger or smaller than the member.
    """
    name = member.name.removesuffix(".npy")
    if size != member.tell() + math.prod(shape) * kind.itemsize:
        raise UntrustedError(f"{shorten(name)} does not have its declared size")
    # Piece by piece: a declared size costs nothing until the file really has it.
    content = b"".join(iter(lambda: member.read(LARGEST_READ), b""))
    return np.frombuffer(content, kind).reshape(shape, order="F" if fortran else "C")
