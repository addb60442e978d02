"""Fitting a world model to episodes that are there already."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from beeline.config import Config, preset
from beeline.models import WorldModel
from beeline.networks.modes import Modes
from beeline.networks.scaling import StateScaling
from beeline.training._optimiser import Optimiser
from beeline.training.episodes import Buffer
from beeline.training.learner import Context, Learned
from beeline.training.model_fitting import ModelFitting


def fitting_of(config: Config) -> ModelFitting:
    """Set up how a configuration fits its world model to real episodes.

    Args:
        config: The run.

    Returns:
        The fitting, without imagined episodes.
    """
    fields = config.fitting
    optimiser = Optimiser(
        fields.learning_rate, fields.final_rate, fields.clip, fields.weight_decay, fields.optimiser
    )
    return ModelFitting(
        optimiser,
        config.fitting_batch,
        env_steps_per_update=config.in_force("fitting.env_steps_per_update"),
    )


def fit(
    model: WorldModel,
    states: Float[Array, "batch times state"],
    actions: Float[Array, "batch time action"],
    fitting: ModelFitting | None = None,
    *,
    updates: int = 1000,
    standardise: bool = True,
    key: Key[Array, "*update"] | int = 0,
) -> WorldModel:
    """Fit a world model to episodes.

    Args:
        model: The model, newly drawn or fitted before.
        states: Whole episodes in physical units, one state more than actions.
        actions: Their actions, in [-1, 1].
        fitting: The optimiser and the batch; that of the default preset if left out.
        updates: How many steps to take; the learning rate follows its cosine over them.
        standardise: Whether the model is to see states with the mean and spread of these; if not,
            it sees them as it did before.
        key: Random key or seed; or a key for each update.

    Returns:
        The fitted model.

    Raises:
        ValueError: If the episodes' shapes do not belong together.
    """
    if states.ndim != 3 or actions.ndim != 3 or states.shape[:2] != _more_by_one(actions.shape):
        raise ValueError(
            f"states have shape {states.shape} and actions {actions.shape}: give arrays of "
            "(episodes, steps + 1, state entries) and (episodes, steps, action entries)"
        )
    if fitting is None:
        fitting = fitting_of(preset("default", horizon=max(2, actions.shape[1])))
    if standardise:
        compress, modes = model.scaling.compress, model.scaling.modes
        if modes is not None:
            modes = Modes.fit(states, modes.count)
        scaling = StateScaling.fit(states, compress=compress, modes=modes)
        model = eqx.tree_at(lambda m: m.scaling, model, scaling).calibrate(states)
    keys = jax.random.key(key) if isinstance(key, int) else key
    return _fit(fitting, model, Buffer(states, actions, jnp.asarray(len(states))), updates, keys)


@eqx.filter_jit
def _fit(
    fitting: ModelFitting, model: WorldModel, buffer: Buffer, updates: int, key: Array
) -> WorldModel:
    arrays, static = eqx.partition(fitting.init(model), eqx.is_array)

    def update(i: Array, arrays: Learned) -> Learned:
        own = key[i] if key.ndim else jax.random.fold_in(key, i)
        context = Context(buffer, progress=i / updates)
        updated = fitting.update(eqx.combine(arrays, static), context, key=own)
        return eqx.filter(updated.learned, eqx.is_array)

    return eqx.combine(jax.lax.fori_loop(0, updates, update, arrays), static).weights


def _more_by_one(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0], shape[1] + 1
