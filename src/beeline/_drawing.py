"""The one way to figures, which takes no display, no variable and no configuration.

Matplotlib looks for a backend in the environment when it is imported, and fails if that one is not
installed; it looks for a style in the working folder. Figures here are drawn in memory, all in the
default style: so it is imported here alone, and everything else takes it from here.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from beeline.storage.atomic import replacing


@contextlib.contextmanager
def _without_backend() -> Iterator[None]:
    # The variable counts at the first import only: whoever wants windows later still gets them.
    named = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    try:
        yield
        if named:
            with contextlib.suppress(ValueError):
                matplotlib.rcParams["backend"] = named
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named


with _without_backend():
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

__all__ = [
    "Axes",
    "Figure",
    "Line2D",
    "LogLocator",
    "LogNorm",
    "MaxNLocator",
    "NullFormatter",
    "StrMethodFormatter",
    "default_style",
    "image_format",
    "literal",
    "pixels",
    "save_figure",
]


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """Draw in Matplotlib's own style, whatever the user's; as a decorator too.

    Fonts and the way in which text is set are chosen when a figure is made, not when it is saved.

    Yields:
        Nothing.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def literal(name: str) -> str:
    """Have a label show a name as it is.

    Args:
        name: Any text, such as a file's name.

    Returns:
        The same, with nothing that begins a formula or hides the label, and escapes in the place of
        what the font lacks, which would be boxes that are all alike.
    """
    font = get_font(findfont(FontProperties()))
    escaped = (c.encode("ascii", "backslashreplace").decode() for c in name)
    drawn = (c if font.get_char_index(ord(c)) else e for c, e in zip(name, escaped, strict=True))
    text = "".join(drawn).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def image_format(file: Path) -> str:
    """Tell the format of an image from its name.

    Args:
        file: The image.

    Returns:
        The format, PNG if the name has no suffix.

    Raises:
        ValueError: If there is no such format.
    """
    known = sorted(FigureCanvasAgg.get_supported_filetypes())
    name = file.suffix[1:].lower() or "png"
    if name not in known:
        raise ValueError(
            f"cannot draw {file}: no image format is called {name!a}, choose from "
            f"{', '.join(known)}"
        )
    return name


def save_figure(figure: Figure, file: Path) -> None:
    """Write a figure, whole or not at all.

    Args:
        figure: The figure.
        file: The image to make or replace; its suffix tells the format.
    """
    name = image_format(file)
    FigureCanvasAgg(figure)
    # The version of the library would make another file of the same picture.
    about = {"Software": None} if name == "png" else None
    with default_style(), replacing(file) as image:
        figure.savefig(image, format=name, metadata=about)


def pixels(figure: Figure) -> UInt8[np.ndarray, "row column 3"]:
    """Draw a figure in memory.

    Args:
        figure: The figure.

    Returns:
        Red, green and blue of each pixel, from the top left.
    """
    canvas = FigureCanvasAgg(figure)
    with default_style():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
