"""Datasets of Minari, by the optional package of that name."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from beeline.data._episodes import DataError, Episodes
from beeline.data._table import LARGEST_COUNT
from beeline.storage.untrusted import UntrustedError, parse_json, read_bytes, shorten

PREFIX = "minari:"
"""What the name of a dataset begins with where files may be named too."""

_LARGEST_DESCRIPTION = 2**22


def read_minari(dataset: Any, *, action_low: Any = None, action_high: Any = None) -> Episodes:
    """Read the episodes of a dataset of Minari's.

    Args:
        dataset: The dataset, or what Minari's storage on this machine calls it.
        action_low: The lowest actions; left out, those of its space, or else of the data.
        action_high: The highest ones, likewise.

    Returns:
        The episodes.

    Raises:
        DataError: If Minari is not installed, there is no such dataset, or it cannot be used.
        MemoryError: If there is none left.
    """
    name = dataset if isinstance(dataset, str) else str(getattr(dataset, "id", dataset))
    try:
        return _read(_loaded(dataset), action_low, action_high)
    except DataError as error:
        raise DataError(f"{PREFIX}{name}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:
        # What it is made of is read by Minari, h5py and pyarrow, which fail in many ways.
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{PREFIX}{name} cannot be read ({why})") from error


def _loaded(dataset: Any) -> Any:
    if not isinstance(dataset, str):
        if not hasattr(dataset, "iterate_episodes"):
            raise DataError("is no dataset: give a minari.MinariDataset, or the name of one")
        return dataset
    try:
        minari = importlib.import_module("minari")
        root = importlib.import_module("minari.storage.datasets_root_dir").get_dataset_path
    except ImportError:
        raise DataError("needs the package minari: pip install 'beeline[data]'") from None
    folder = Path(root(dataset), "data")
    try:
        described = parse_json(read_bytes(folder / "metadata.json", _LARGEST_DESCRIPTION))
    except FileNotFoundError:
        raise DataError(
            f"is not in {Path(root())}: fetch it with minari download {dataset}, or name the "
            "folder in MINARI_DATASETS_PATH"
        ) from None
    except UntrustedError as error:
        raise DataError(f"has a metadata.json that {error}") from None
    for space in ("observation_space", "action_space"):
        if space not in described:
            # Minari would make the environment that it names, which runs code that it names.
            raise DataError(f"does not say its {space}: hand over a minari.MinariDataset in Python")
    return minari.load_dataset(dataset)


def _read(dataset: Any, low: Any, high: Any) -> Episodes:
    from gymnasium.spaces import Box, flatdim

    observed, acted = dataset.observation_space, dataset.action_space
    if not isinstance(acted, Box):
        raise DataError(
            f"has actions of {type(acted).__name__}, but models take numbers: choose a dataset "
            "whose action space is a Box"
        )
    try:
        entries = flatdim(observed)
    except (NotImplementedError, ValueError):
        raise DataError(
            f"has observations of {type(observed).__name__}, which have no fixed number of "
            "entries: choose a dataset whose observations are a Box, or a Dict of such"
        ) from None
    rows = dataset.total_steps + dataset.total_episodes
    if rows * (entries + acted.low.size + 1) > LARGEST_COUNT:
        raise DataError(
            f"has {rows} rows of {entries + acted.low.size + 1} numbers, more than the "
            f"{LARGEST_COUNT} that are read of one: hand over a part of it, by its filter_episodes"
        )
    states, actions, rewards, over, labels = [], [], [], [], []
    for episode in dataset.iterate_episodes():
        label = str(episode.id)
        steps = len(episode.rewards)
        ends = np.flatnonzero(episode.terminations)
        if ends.size and ends[0] != steps - 1:
            raise DataError(
                f"episode {shorten(label)} terminates in step {ends[0]}, but goes on after it"
            )
        states.append(_flat(observed, episode.observations, steps + 1, label))
        actions.append(_flat(acted, episode.actions, steps, label))
        rewards.append(episode.rewards)
        over.append(bool(ends.size))
        labels.append(label)
    return Episodes(
        states,
        actions,
        rewards,
        over,
        labels=labels,
        action_low=_bound(acted.low) if low is None else low,
        action_high=_bound(acted.high) if high is None else high,
    )


def _bound(edge: np.ndarray) -> Any:
    return edge.astype(float).ravel() if np.isfinite(edge).all() else None


def _flat(space: Any, values: Any, rows: int, label: str) -> Float[np.ndarray, "rows entries"]:
    # As Gymnasium's flatten does it, but all rows of an array at once.
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        parts = [_flat(one, values[key], rows, label) for key, one in space.spaces.items()]
        return np.concatenate(parts, axis=1)
    if isinstance(space, spaces.Tuple):
        each = zip(space.spaces, values, strict=True)
        return np.concatenate([_flat(one, part, rows, label) for one, part in each], axis=1)
    if not isinstance(space, spaces.Box):
        flat: Any = [spaces.flatten(space, value) for value in values]
        return _checked(np.array(flat, float), (rows, spaces.flatdim(space)), label)
    values = _checked(np.asarray(values), (rows, *space.shape), label)
    return values.reshape(rows, -1).astype(np.float64)


def _checked(values: np.ndarray, shape: tuple[int, ...], label: str) -> np.ndarray:
    if values.shape != shape:
        raise DataError(
            f"episode {shorten(label)} holds an array of shape {values.shape}, where its spaces "
            f"and rewards ask for {shape}"
        )
    return values
