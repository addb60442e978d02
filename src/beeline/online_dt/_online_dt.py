"""The online decision transformer, in the place of Algorithm 1.

It imitates its own episodes, each labelled in hindsight with the return that it had, and acts by
asking for a better one. Beside the original, there is no dropout, the parts of episodes that it
imitates are never shorter than its context, the blocks are those of our transformer (GELU), steps
have an embedding of their index, and the network sees returns as differences from those of random
actions, in units of the gap between these and the optimum.

References:
    Zheng et al. 2022, "Online decision transformer".
    Paper, Appendix F.3 and Figure 10.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from typing_extensions import override

from beeline.config import Config
from beeline.control import random_return, solve_optimum
from beeline.envs import Environment
from beeline.online_dt._decision_transformer import DecisionTransformer
from beeline.online_dt._imitation import Imitation
from beeline.online_dt._return_seeker import ReturnSeeker, SeekerRecord, SeekerState, evaluate
from beeline.training import CorrelatedNoise, Episode, IndependentNoise
from beeline.training.baseline import Baseline, BaselineState


@final
class OnlineDT(Baseline):
    """Seeds side by side, each with its own transformer."""

    asks_for_optimum = True

    def __init__(self, config: Config, env: Environment, evaluation_episodes: int = 1) -> None:
        """Set it up; nothing is computed yet.

        Args:
            config: The run.
            env: Its environment.
            evaluation_episodes: Episodes that a policy is measured in.
        """
        super().__init__(config, env, evaluation_episodes)
        self._state: Any = None
        self._iterate: Any = None

    @override
    def prepare(self, seeds: Sequence[int], restored: BaselineState | None = None) -> None:
        iterate: Any = eqx.filter_vmap(self._seeker().iterate, in_axes=(eqx.if_array(0), None))
        shapes, static = eqx.partition(self.skeleton(), _is_shape)

        def advance(arrays: Any, index: Array) -> tuple[Any, SeekerRecord]:
            after, record = iterate(_seeker_state(eqx.combine(arrays, static)), index)
            return eqx.filter(_state(after), eqx.is_array), record

        if restored is None:
            self._state = eqx.combine(self._begin(seeds), static)
        self._iterate = jax.jit(advance).lower(shapes, jnp.asarray(0)).compile()

    @override
    def warm_up(self) -> BaselineState:
        return self._state

    @override
    def iterate(self, state: BaselineState, index: int) -> tuple[BaselineState, SeekerRecord, None]:
        arrays, static = eqx.partition(state, eqx.is_array)
        arrays, record = self._iterate(arrays, jnp.asarray(index))
        return eqx.combine(arrays, static), jax.tree.map(np.asarray, record), None

    @override
    def skeleton(self) -> BaselineState:
        seeds = jax.ShapeDtypeStruct((self.config.seeds,), jnp.uint32)
        return eqx.filter_eval_shape(eqx.filter_vmap(self._start(self._seeker())), seeds)

    @override
    def enlarged(self, state: BaselineState) -> BaselineState:
        room = self._seeker().room
        buffer = eqx.filter_vmap(lambda buffer: buffer.enlarged(room))(state.learner.buffer)
        return state._replace(learner=state.learner._replace(buffer=buffer))

    @override
    def evaluate(self, policy: DecisionTransformer, *, key: PRNGKeyArray) -> Episode:
        return evaluate(self.env, policy, key=key)

    def _draw(self, key: PRNGKeyArray) -> DecisionTransformer:
        env, fields = self.env, self.config.online_dt
        return DecisionTransformer(
            env.state_dim,
            env.action_dim,
            env.horizon,
            width=fields.width,
            layers=fields.layers,
            heads=fields.heads,
            context=fields.context,
            acting_context=fields.acting_context,
            key=key,
        )

    def _begin(self, seeds: Sequence[int]) -> Any:
        random = random_return(self.env).mean
        gap = solve_optimum(self.env).return_ - random
        seeker = self._seeker(target=random + self.config.online_dt.target * gap, unit=gap)
        start: Any = eqx.filter_vmap(self._start(seeker))
        return jax.jit(lambda seeds: eqx.filter(start(seeds), eqx.is_array))(
            jnp.asarray(seeds, jnp.uint32)
        )

    def _start(self, seeker: ReturnSeeker) -> Callable[[Array], BaselineState]:
        def start(seed: Array) -> BaselineState:
            policy_key, key = jax.random.split(jax.random.key(seed))
            return _state(seeker.init(self._draw(policy_key), key=key))

        return start

    def _seeker(self, *, target: float = 0.0, unit: float = 1.0) -> ReturnSeeker:
        # A policy that is restored knows what it asks for.
        fields = self.config.online_dt
        correlated = self.config.exploration.correlated
        return ReturnSeeker(
            env=self.env,
            exploration=CorrelatedNoise(0.0) if correlated else IndependentNoise(),
            imitation=Imitation(
                learning_rate=fields.learning_rate,
                rate_warmup=fields.rate_warmup,
                weight_decay=fields.weight_decay,
                clip=fields.clip,
                temperature=fields.temperature,
                temperature_rate=fields.temperature_rate,
                batch_size=fields.batch_size,
            ),
            target=target,
            unit=unit,
            capacity=fields.capacity,
            warmup_episodes=self.config.warmup_episodes,
            steps_per_update=fields.env_steps_per_update,
            iterations=self.iterations,
        )


def _state(state: SeekerState) -> BaselineState:
    # The policy is stored once, beside the rest.
    student = state.student._replace(policy=cast(DecisionTransformer, None))
    return BaselineState(state.policy, state._replace(student=student))


def _seeker_state(state: BaselineState) -> SeekerState:
    learner: SeekerState = state.learner
    return learner._replace(student=learner.student._replace(policy=state.policy))


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)
