"""What the library of soft actor-critic holds, as NumPy's arrays and back."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecNormalize

from beeline.sac._learner_state import Moments, Network, Normaliser, Randomness


def arrays_of(parameters: Iterable[torch.Tensor]) -> tuple[np.ndarray, ...]:
    """Copy tensors.

    Args:
        parameters: The tensors.

    Returns:
        Their values.
    """
    return tuple(parameter.detach().numpy().copy() for parameter in parameters)


def fill(parameters: Iterable[torch.Tensor], arrays: Sequence[np.ndarray]) -> None:
    """Write values into tensors.

    Args:
        parameters: The tensors.
        arrays: Their values.
    """
    with torch.no_grad():
        for parameter, values in zip(parameters, arrays, strict=True):
            parameter.copy_(torch.tensor(values))


def network_of(parameters: Iterable[torch.Tensor], optimiser: torch.optim.Optimizer) -> Network:
    """Copy weights and the state of their Adam.

    Args:
        parameters: The weights.
        optimiser: What updates them.

    Returns:
        The copy; before the first update, Adam's numbers are zeros.
    """
    parameters = list(parameters)
    states = [optimiser.state[parameter] for parameter in parameters]
    updates = states[0]["step"].numpy().copy() if states[0] else np.float32(0)

    def values(name: str) -> tuple[np.ndarray, ...]:
        pairs = zip(states, parameters, strict=True)
        return arrays_of(seen.get(name, torch.zeros_like(like)) for seen, like in pairs)

    return Network(arrays_of(parameters), values("exp_avg"), values("exp_avg_sq"), updates)


def fill_network(
    parameters: Iterable[torch.Tensor], optimiser: torch.optim.Optimizer, state: Network
) -> None:
    """Write weights and the state of their Adam.

    Args:
        parameters: The weights.
        optimiser: What updates them.
        state: What `network_of` gave.
    """
    parameters = list(parameters)
    fill(parameters, state.weights)
    for parameter, mean, square in zip(parameters, state.means, state.squares, strict=True):
        optimiser.state[parameter] = {
            "step": torch.tensor(state.updates),
            "exp_avg": torch.tensor(mean),
            "exp_avg_sq": torch.tensor(square),
        }


def statistics_of(normaliser: VecNormalize) -> Normaliser:
    """Copy the running statistics of observations and returns.

    Args:
        normaliser: What normalises them.

    Returns:
        The copy.
    """
    seen, returns = normaliser.obs_rms, normaliser.ret_rms
    return Normaliser(_moments(seen), _moments(returns), np.float64(normaliser.returns[0]))


def set_statistics(normaliser: VecNormalize, state: Normaliser) -> None:
    """Put back the running statistics of observations and returns.

    Args:
        normaliser: What normalises them.
        state: What `statistics_of` gave.
    """
    _set_moments(normaliser.obs_rms, state.observation)
    _set_moments(normaliser.ret_rms, state.discounted_return)
    normaliser.returns = np.full(1, state.discounted)


def generators() -> tuple[Any, Any, Any]:
    """Ask the generators of the process where they are.

    Returns:
        What Python's, NumPy's and PyTorch's will draw next.
    """
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def set_generators(states: tuple[Any, Any, Any]) -> None:
    """Put the generators of the process where they were.

    Args:
        states: What `generators` gave.
    """
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def randomness_of(states: tuple[Any, Any, Any]) -> Randomness:
    """Write down what a learner will draw next.

    Args:
        states: What `generators` gave.

    Returns:
        The same as arrays; nothing is drawn from Python's, and no normal number from NumPy's.
    """
    _, words, position, *_ = states[1]
    return Randomness(np.append(words, np.uint32(position)), states[2].numpy().copy())


def generators_from(state: Randomness) -> tuple[Any, Any, Any]:
    """Read what a learner would have drawn next.

    Args:
        state: What `randomness_of` gave.

    Returns:
        What `set_generators` takes, with Python's as they are.
    """
    numpy = ("MT19937", state.numpy[:-1], int(state.numpy[-1]), 0, 0.0)
    return random.getstate(), numpy, torch.tensor(state.torch)


def _moments(seen: Any) -> Moments:
    mean, variance, count = (np.array(x, float) for x in (seen.mean, seen.var, seen.count))
    return Moments(mean, variance, count)


def _set_moments(seen: Any, state: Moments) -> None:
    seen.mean, seen.var, seen.count = state.mean.copy(), state.variance.copy(), float(state.count)
