"""Figures of tasks with many entries."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from beeline import envs
from beeline._drawing import pixels
from beeline.envs import Environment
from beeline.envs._trajectories import draw_episode, panels


class Rods(Environment):
    """Twenty temperatures, each with its own heater."""

    horizon: int = eqx.field(static=True, default=4)
    name = "rods"
    state_dim, action_dim, dt = 20, 20, 0.5
    state_units = ("K",) * 20
    time_unit = "s"

    def initial_state(self, *, key=None):
        return jnp.full(20, 300.0)

    def step(self, state, action, t, *, key=None):
        return state + action

    def reward(self, state, action, t):
        return -jnp.sum(action**2)


def test_a_field_is_one_image_over_time():
    env = envs.make("reaction-diffusion", horizon=10, cells=40)
    states = np.random.default_rng(0).normal(size=(4, 40))
    figure = draw_episode(env, states, np.zeros((3, 4)), 5, -1.0)
    field, *controls = figure.axes
    assert len(controls) == 4
    (image,) = field.images
    np.testing.assert_array_equal(image.get_array(), states.T)
    # Columns lie around the times of the states, and all panels show the whole episode.
    np.testing.assert_allclose(image.get_extent(), [0.03, 0.11, -0.5, 39.5])
    assert {axes.get_xlim() for axes in figure.axes} == {(0, 0.2)}
    low, high = image.get_clim()
    assert high == -low == np.abs(states).max()
    labels = [label.get_text() for label in field.get_yticklabels()]
    assert (labels[0], labels[-1]) == (env.state_names[0], env.state_names[-1])
    assert figure.get_figheight() > 1.2 + 4 * 2.0


def test_the_scale_beside_a_field_leaves_the_panels_in_line():
    env = envs.make("reaction-diffusion", horizon=10, cells=40)
    figure = draw_episode(env, np.ones((4, 40)), np.zeros((3, 4)), 3, -1.0)
    shape = pixels(figure).shape
    assert len({tuple(axes.get_position().intervalx.round(3)) for axes in figure.axes}) == 1
    # The first frame has no control yet and the same size.
    assert pixels(draw_episode(env, np.ones((1, 40)), np.zeros((0, 4)), 0, 0.0)).shape == shape


def test_controls_may_be_a_field_too():
    actions = np.random.default_rng(0).uniform(-1, 1, (4, 20))
    states = np.full((5, 20), 300.0) + np.arange(5)[:, None]
    figure = draw_episode(Rods(), states, actions, 4, 0.0)
    temperatures, heaters = figure.axes
    assert temperatures.get_ylabel() == "state [K]"
    assert temperatures.images[0].get_clim() == (300, 304)
    np.testing.assert_allclose(heaters.images[0].get_array(), actions.T)
    assert heaters.images[0].get_extent() == [0, 2, -0.5, 19.5]
    assert heaters.get_yticklabels()[0].get_text() == "action 0"


def test_twelve_entries_have_a_panel_each():
    env = envs.make("reaction-diffusion", horizon=10, cells=12)
    assert [len(group) for group in panels(env)[1:]] == [12, 4]
    assert [
        len(group) for group in panels(envs.make("reaction-diffusion", horizon=10, cells=13))[1:]
    ] == [1, 4]
