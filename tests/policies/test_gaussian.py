import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree

from beeline.networks.scaling import StateScaling
from beeline.policies import SquashedGaussian, Widened
from beeline.policies._squash import SQUASHES
from tests.networks import drawn, normal

pytestmark = pytest.mark.usefixtures("float64")


def make_policy(gain=1.0, action_dim=1, **options):
    policy = drawn(SquashedGaussian, 3, action_dim, 20, **options)
    return eqx.tree_at(
        lambda p: p.network.layers[-1].weight, policy, replace_fn=lambda w: gain * np.asarray(w)
    )


STATE, T = jnp.array([0.3, -1.0, 2.0]), jnp.array(7)


@eqx.filter_jit
def distribution(policy, state, t):
    return policy.distribution(state, t)


@eqx.filter_jit
def sample(policy, state, t, noise):
    return policy.sample(state, t, noise)


@eqx.filter_jit
def mode(policy, state, t):
    return policy.mode(state, t)


@eqx.filter_jit
def sample_in_a_row(policy, noise):
    return jax.vmap(lambda draw: policy.sample(STATE, T, draw))(noise)


def density(policy, actions):
    """The density of 1-D actions, by way of the noise that makes them."""
    mean, deviation = map(np.asarray, distribution(policy, STATE, T))
    noise = (np.arctanh(actions)[:, None] - mean) / deviation
    made, minus_log_density = sample_in_a_row(policy, noise)
    np.testing.assert_allclose(made[:, 0], actions, atol=1e-9)
    return np.exp(-np.asarray(minus_log_density))


@pytest.mark.parametrize("gain", [1.0, 80.0])
def test_density_integrates_to_one_over_the_box(gain):
    policy = make_policy(gain)
    mean, deviation = map(np.asarray, distribution(policy, STATE, T))
    actions = np.tanh(np.linspace(mean[0] - 9 * deviation[0], mean[0] + 9 * deviation[0], 20_001))
    values = density(policy, actions)
    assert np.trapezoid(values, actions) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("gain", [1.0, 80.0])
def test_mean_estimate_is_the_entropy(gain):
    policy = make_policy(gain)
    mean, deviation = map(np.asarray, distribution(policy, STATE, T))
    actions = np.tanh(np.linspace(mean[0] - 9 * deviation[0], mean[0] + 9 * deviation[0], 20_001))
    values = density(policy, actions)
    entropy = -np.trapezoid(values * np.log(values), actions)
    draws, weights = np.polynomial.hermite_e.hermegauss(60)
    estimates = np.asarray(sample_in_a_row(policy, draws[:, None])[1])
    assert weights @ estimates / weights.sum() == pytest.approx(entropy, abs=1e-5)


def test_entropy_adds_over_action_entries():
    policy = make_policy(action_dim=2)
    mean, deviation = map(np.asarray, distribution(policy, STATE, T))
    noise = np.array([0.4, -1.3])
    action, entropy = map(np.asarray, sample(policy, STATE, T, noise))
    log_density = -0.5 * noise**2 - np.log(deviation * np.sqrt(2 * np.pi))
    log_density -= np.log(1 - action**2)
    np.testing.assert_allclose(action, np.tanh(mean + deviation * noise), rtol=1e-12)
    np.testing.assert_allclose(entropy, -log_density.sum(), rtol=1e-9)


def test_mean_and_deviation_stay_within_their_bounds():
    policy = make_policy(1e4, seed=1, mean_bound=2.0, deviations=(0.1, 0.4))
    states = 50 * normal(500, 3, seed=1)
    mean, deviation = map(np.asarray, distribution(policy, states, jnp.full(500, 3)))
    assert np.abs(mean).max() <= 2
    assert np.abs(mean).max() > 1.99
    assert deviation.min() >= 0.1 - 1e-12
    assert deviation.max() <= 0.4 + 1e-12
    assert deviation.max() - deviation.min() > 0.29


def test_a_new_policy_is_near_the_centre_everywhere():
    mean, _ = distribution(make_policy(), STATE, T)
    assert abs(mean[0]) < 0.2


def test_samples_lie_in_the_box_and_the_mode_is_without_noise():
    policy = make_policy(1e4, action_dim=2)
    states, times = normal(9, 20, 3, seed=1), jnp.asarray(np.tile(np.arange(20), (9, 1)))
    noise = 5 * normal(9, 20, 2, seed=2)
    action, entropy = map(np.asarray, sample(policy, states, times, noise))
    assert action.shape == (9, 20, 2)
    assert entropy.shape == (9, 20)
    assert np.isfinite(entropy).all()
    assert np.abs(action).max() <= 1
    without = sample(policy, states, times, np.zeros_like(noise))[0]
    np.testing.assert_array_equal(without, mode(policy, states, times))


def test_a_batch_is_its_members():
    policy = make_policy(30.0, frequencies=2)
    states, times, noise = normal(6, 3, seed=1), jnp.arange(6), normal(6, 1, seed=2)
    together = sample(policy, states, times, noise)
    apart = jax.jit(jax.vmap(policy.sample))(states, times, noise)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), together, apart)
    alone = sample(policy, *(jnp.asarray(np.asarray(x)[2]) for x in (states, times, noise)))
    np.testing.assert_allclose(together[0][2], alone[0])


def test_states_are_seen_through_the_scaling():
    states = jnp.array([[1e3, -4.0, 0.1], [2e3, 5.0, 0.3], [5e3, 0.0, 0.2]])
    scaling = StateScaling.fit(states)
    plain = make_policy(50.0)
    scaled = SquashedGaussian(3, 1, 20, scaling=scaling, key=jax.random.key(0))
    scaled = eqx.tree_at(lambda p: p.network, scaled, plain.network)
    seen = mode(scaled, states[0], T)
    np.testing.assert_allclose(seen, mode(plain, scaling.encode(states[0]), T))


def test_clipping_reaches_the_edge_and_its_slope_leads_inwards_alone():
    policy = make_policy(squash="clip", action_dim=3)
    actions = jnp.array([-1.7, -1.0, 0.3, 1.0, 2.5])
    clipped, slope = jax.vjp(SQUASHES["clip"].function, actions)
    np.testing.assert_array_equal(clipped, [-1, -1, 0.3, 1, 1])
    np.testing.assert_array_equal(slope(jnp.full(5, 2.0))[0], [2, 2, 2, 0, 0])
    np.testing.assert_array_equal(slope(jnp.full(5, -2.0))[0], [0, 0, -2, -2, -2])
    noise = np.array([30.0, -1.3, 0.0])
    mean, deviation = map(np.asarray, distribution(policy, STATE, T))
    action, entropy = sample(policy, STATE, T, noise)
    np.testing.assert_allclose(action, np.clip(mean + deviation * noise, -1, 1), rtol=1e-12)
    assert action[0] == 1
    np.testing.assert_allclose(entropy, scipy.stats.norm.entropy(mean, deviation).sum(), rtol=1e-9)
    np.testing.assert_array_equal(mode(policy, STATE, T), np.clip(mean, -1, 1))


@pytest.mark.parametrize("squash", ["clip", "tanh"])
def test_wider_noise_changes_the_action_and_not_what_is_said_of_the_entropy(squash):
    policy = make_policy(squash=squash)
    noise, width = jnp.array([0.4]), jnp.array(3.0)
    narrow, wide = policy.sample(STATE, T, noise), policy.sample(STATE, T, noise, width)
    np.testing.assert_allclose(wide[0], policy.sample(STATE, T, width * noise)[0])
    assert wide[0] != narrow[0]
    assert wide[1] == narrow[1]
    widened = Widened(policy, width)
    assert eqx.tree_equal(widened.sample(STATE, T, noise), wide)
    twice = Widened(widened, jnp.array(2.0)).sample(STATE, T, noise)[0]
    np.testing.assert_allclose(twice, policy.sample(STATE, T, 6 * noise)[0])
    assert eqx.tree_equal(widened.mode(STATE, T), policy.mode(STATE, T))


def test_ascent_soon_leaves_a_wrong_edge_and_keeps_a_right_one_with_clipping_alone():
    def climb(squash, x, best):
        slope = jax.jit(jax.grad(lambda x: -((SQUASHES[squash].function(x) - best) ** 2).sum()))
        x = jnp.full(1, x)
        for _ in range(40):
            x += 0.3 * slope(x)
        return SQUASHES[squash].function(x)

    np.testing.assert_allclose(climb("clip", 1.5, -0.5), -0.5, atol=1e-3)
    assert climb("clip", -1.5, 2.0) == climb("clip", 1.5, 2.0) == 1
    assert climb("tanh", jnp.arctanh(0.999), -0.5) > 0.99


def test_an_unknown_squash_is_refused():
    with pytest.raises(ValueError, match=r"unknown squash 'cosine': .*choose from clip, tanh"):
        make_policy(squash="cosine")


@pytest.mark.parametrize("squash", ["clip", "tanh"])
@pytest.mark.parametrize("noise", [-1.5, 2.0])
def test_reparameterised_gradient_against_finite_differences(noise, squash):
    policy, noise = make_policy(30.0, squash=squash), jnp.array([noise])
    weights, static = eqx.partition(policy, eqx.is_array)
    flat, unflatten = ravel_pytree(weights)

    @jax.jit
    def value(flat, state):
        action, entropy = eqx.combine(unflatten(flat), static).sample(state, T, noise)
        return 3 * action[0] + entropy

    to_weights, to_state = jax.jit(jax.grad(value, argnums=(0, 1)))(flat, STATE)
    # The scaling's statistics are leaves without a gradient: only the network moves.
    network = jax.tree.map(jnp.ones_like, weights.network)
    still = jax.tree.map(jnp.zeros_like, weights)
    moving = ravel_pytree(eqx.tree_at(lambda p: p.network, still, network))[0]
    way = moving * normal(*flat.shape, seed=5)
    step = 1e-5
    ahead, behind = value(flat + step * way, STATE), value(flat - step * way, STATE)
    np.testing.assert_allclose(to_weights @ way, (ahead - behind) / (2 * step), rtol=1e-6)
    for i in range(3):
        nudge = step * jnp.eye(3)[i]
        difference = (value(flat, STATE + nudge) - value(flat, STATE - nudge)) / (2 * step)
        np.testing.assert_allclose(to_state[i], difference, rtol=1e-6, atol=1e-9)
