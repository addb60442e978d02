"""One seed of soft actor-critic: its networks, its buffer, its task and its randomness."""

import contextlib
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from beeline.config import Config
from beeline.envs import Environment
from beeline.envs.gymnasium import GymnasiumTask
from beeline.networks.layers import Linear
from beeline.sac._actor import Actor
from beeline.sac._delayed import DelayedSAC
from beeline.sac._learner_arrays import (
    arrays_of,
    fill,
    fill_network,
    generators,
    generators_from,
    network_of,
    randomness_of,
    set_generators,
    set_statistics,
    statistics_of,
)
from beeline.sac._learner_state import LearnerState, Transitions, capacity


class SeedLearner:
    """Learns with one seed, step by step, and gives its policy at any time.

    Two learners in one process do not disturb each other: the library draws from generators of
    the whole process, and what they would give next is kept for each.

    Attributes:
        updates: Updates of the critics and of the actor so far.
    """

    def __init__(self, config: Config, task: Environment, seed: int) -> None:
        """Draw the networks.

        Args:
            config: The run.
            task: Its environment.
            seed: The seed.
        """
        fields = config.sac
        self._seed = seed
        self._generators: Any = None
        self._normaliser = None
        self._horizon, self._state_dim = config.horizon, task.state_dim
        self._terminates = task.terminated is not None
        self._monitor = Monitor(GymnasiumTask(task, time_limit=fields.time_limit))
        env: Any = DummyVecEnv([lambda: self._monitor])
        if fields.normalise:
            env = self._normaliser = VecNormalize(env, gamma=fields.discount)
        with self._on_its_own():
            self._sac = DelayedSAC(
                "MlpPolicy",
                env,
                actor_delay=fields.env_steps_per_policy_update // fields.env_steps_per_update,
                learning_rate=fields.learning_rate,
                buffer_size=capacity(config),
                learning_starts=fields.random_steps or config.warmup_episodes * config.horizon,
                batch_size=fields.batch_size,
                tau=1 - fields.averaging,
                gamma=fields.discount,
                train_freq=fields.env_steps_per_update,
                ent_coef=f"auto_{fields.entropy_weight}"
                if fields.tune_entropy
                else fields.entropy_weight,
                policy_kwargs={"net_arch": list(fields.hidden)},
                seed=seed,
                # Networks this small are faster on the processor than on its way to another.
                device="cpu",
            )
        self._sac.set_logger(Logger(None, []))

    def learn(self, env_steps: int) -> None:
        """Learn until the task has been stepped so often in all, or a loss is not finite.

        Args:
            env_steps: Steps since the beginning; what is between updates may be taken ahead.
        """
        missing = env_steps - self._sac.num_timesteps
        if missing > 0:
            with self._on_its_own(), contextlib.suppress(FloatingPointError):
                self._sac.learn(missing, reset_num_timesteps=False)

    @property
    def updates(self) -> tuple[int, int]:
        """Count the updates so far.

        Returns:
            Those of the critics and of the actor.
        """
        return self._sac._n_updates, self._sac._n_updates // self._sac.actor_delay

    def take_losses(self) -> tuple[float, float]:
        """Average the losses since the last time this was asked.

        Returns:
            The critics' and the actor's, NaN if there was no update.
        """
        return self._sac.take_losses()

    @property
    def collected_return(self) -> float:
        """Look up the last whole episode that was collected.

        Returns:
            Its return.
        """
        episodes = self._sac.ep_info_buffer
        return episodes[-1]["r"] if episodes else np.nan

    def policy(self, like: Actor) -> Actor:
        """Copy the actor.

        Args:
            like: A policy of the same shape.

        Returns:
            The policy.
        """
        actor: Any = self._sac.actor
        hidden = [layer for layer in actor.latent_pi if isinstance(layer, torch.nn.Linear)]
        layers = [_linear(old, new) for old, new in zip(like.network.layers, hidden, strict=False)]
        last = _linear(like.network.layers[-1], actor.mu, actor.log_std)
        statistics = like.mean, like.deviation
        if self._normaliser is not None:
            seen: Any = self._normaliser.obs_rms
            spread = np.sqrt(seen.var + self._normaliser.epsilon)
            statistics = jnp.asarray(seen.mean, float), jnp.asarray(spread, float)
        return eqx.tree_at(
            lambda policy: (policy.network.layers, policy.mean, policy.deviation),
            like,
            ((*layers, last), *statistics),
        )

    def state(self) -> LearnerState:
        """Copy everything that it takes to go on.

        Returns:
            The state, of NumPy's arrays.
        """
        sac: Any = self._sac
        buffer, rewards = sac.replay_buffer, np.zeros(self._horizon)
        rewards[: len(self._monitor.rewards)] = self._monitor.rewards
        seen = sac._last_obs if self._normaliser is None else sac._last_original_obs
        transitions = {name: getattr(buffer, name)[:, 0].copy() for name in Transitions._fields}
        # What the library makes of both when it draws from them.
        transitions["dones"] *= 1 - buffer.timeouts[:, 0]
        networks = {name: network_of(*learned) for name, learned in self._networks().items()}
        return LearnerState(
            actor=networks["actor"],
            critic=networks["critic"],
            entropy_weight=networks.get("entropy_weight"),
            target=arrays_of(sac.critic_target.parameters()),
            transitions=Transitions(**transitions),
            normaliser=None if self._normaliser is None else statistics_of(self._normaliser),
            env_steps=np.int32(sac.num_timesteps),
            updates=np.int32(sac._n_updates),
            observation=seen[0].copy(),
            rewards=rewards,
            played=np.asarray([sac._episode_num, len(self._monitor.rewards)], np.int32)
            if self._terminates
            else None,
            collected_return=np.float64(self.collected_return),
            randomness=randomness_of(self._generators),
        )

    def put_back(self, state: LearnerState) -> None:
        """Go on from where a learner of the same run was.

        Args:
            state: Its state, of NumPy's arrays.
        """
        sac: Any = self._sac
        # What the library sets up when it begins, and is no different later.
        sac._setup_learn(0)
        sac.take_losses()
        for name, learned in self._networks().items():
            fill_network(*learned, getattr(state, name))
        fill(sac.critic_target.parameters(), state.target)
        buffer, steps = sac.replay_buffer, int(state.env_steps)
        for name, values in state.transitions._asdict().items():
            getattr(buffer, name)[:, 0] = values
        buffer.timeouts[:] = 0
        buffer.full, buffer.pos = steps >= buffer.buffer_size, steps % buffer.buffer_size
        sac.num_timesteps, sac._n_updates = steps, int(state.updates)
        sac.ep_info_buffer.append({"r": float(state.collected_return), "l": self._horizon})
        task: Any = self._monitor.unwrapped
        # Starts and noise follow from the seed and from how many episodes there were before.
        episodes, t = divmod(steps, self._horizon) if state.played is None else state.played
        task.reset(seed=self._seed)
        for _ in range(episodes):
            task.reset()
        task.begin_at(state.observation[: self._state_dim], int(t))
        self._monitor.rewards = state.rewards[:t].tolist()
        sac._episode_num = int(episodes)
        seen: Any = state.observation[None].copy()
        sac._last_obs = sac._last_original_obs = seen
        if self._normaliser is not None and state.normaliser is not None:
            set_statistics(self._normaliser, state.normaliser)
            sac._last_obs = self._normaliser.normalize_obs(seen)
        self._generators = generators_from(state.randomness)

    def _networks(self) -> dict[str, tuple[list[torch.Tensor], torch.optim.Optimizer]]:
        sac: Any = self._sac
        found = {
            "actor": (list(sac.actor.parameters()), sac.actor.optimizer),
            "critic": (list(sac.critic.parameters()), sac.critic.optimizer),
        }
        if sac.ent_coef_optimizer is not None:
            found["entropy_weight"] = [sac.log_ent_coef], sac.ent_coef_optimizer
        return found

    @contextlib.contextmanager
    def _on_its_own(self) -> Iterator[None]:
        others, threads = generators(), torch.get_num_threads()
        if self._generators is not None:
            set_generators(self._generators)
        # Networks this small are slower on several cores, and the order of sums is then another.
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            self._generators = generators()
            set_generators(others)


def _linear(like: Linear, *parts: Any) -> Linear:
    weight = np.concatenate([part.weight.detach().numpy() for part in parts]).T
    bias = np.concatenate([part.bias.detach().numpy() for part in parts])
    values = jnp.asarray(weight, float), jnp.asarray(bias, float)
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), like, values)
