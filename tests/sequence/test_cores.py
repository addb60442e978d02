"""What every core promises, whatever its recurrence: each that the library lists is tried."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.config._catalogue import CORES, located
from tests.networks import drawn, normal

WIDTH = 12
SIZES = {
    "width": WIDTH,
    "layers": 2,
    "heads": 3,
    "recurrent": (7, 9),
    "positions": True,
    "horizon": 2000,
}
DRAWN = {
    name: functools.partial(located(core.factory), *(SIZES[size] for size in core.takes))
    for name, core in CORES.items()
}
# Attention blocks are 64 tokens up to 512, and stages begin at 256.
LENGTHS = (1, 63, 64, 65)
LONGEST = 257


@pytest.fixture(params=DRAWN)
def core(request):
    return drawn(DRAWN[request.param])


def draw(length, seed=1):
    return normal(length, WIDTH, seed=seed)


def walk(core, cache, tokens):
    return jax.lax.scan(lambda cache, token: core.step(cache, token), cache, tokens)


def in_steps(core, tokens):
    return walk(core, core.start(tokens.shape[0]), tokens)[1]


def in_stages(core, tokens):
    first, cache, outputs = 0, None, []
    for last in core.stages(tokens.shape[0]):
        cache = core.start(last) if cache is None else core.reserve(cache, last)
        cache, part = walk(core, cache, tokens[first:last])
        outputs.append(part)
        first = last
    return jnp.concatenate(outputs)


def in_parallel(core, tokens):
    return core.parallel(tokens)


@pytest.mark.usefixtures("float64")
def test_parallel_equals_steps(core):
    tokens = draw(LONGEST)
    steps, parallel = jax.jit(in_steps)(core, tokens), jax.jit(in_parallel)
    for length in (*LENGTHS, LONGEST):
        np.testing.assert_allclose(
            parallel(core, tokens[:length]),
            steps[:length],
            rtol=1e-12,
            atol=1e-12,
            err_msg=f"{length=}",
        )


@pytest.mark.usefixtures("optimised")
def test_parallel_equals_steps_in_single_precision(core):
    tokens = draw(LONGEST)
    outputs = jax.jit(in_parallel)(core, tokens)
    assert outputs.dtype == jnp.float32
    np.testing.assert_allclose(outputs, jax.jit(in_steps)(core, tokens), rtol=2e-5, atol=2e-5)


@pytest.mark.usefixtures("float64")
def test_growing_equals_full_room(core):
    tokens = draw(LONGEST)
    full, grown = jax.jit(in_steps)(core, tokens), jax.jit(in_stages)(core, tokens)
    np.testing.assert_allclose(grown, full, rtol=1e-12, atol=1e-13)


def test_stages_increase_to_the_length(core):
    for length in (1, 2, 7, 255, 256, 257, 1000, 1001):
        stages = core.stages(length)
        assert stages[-1] == length
        assert all(a < b for a, b in zip((0, *stages), stages, strict=False))


def test_no_output_depends_on_a_later_token(core):
    tokens = draw(70)
    length = tokens.shape[0]

    @jax.jit
    def slopes(tokens, cotangents):
        return jax.vmap(jax.vjp(core.parallel, tokens)[1])(cotangents)[0]

    # One random cotangent an output: row t holds the slope of output t in every token.
    cotangents = jnp.eye(length)[:, :, None] * draw(length, seed=2)
    reaches = np.abs(slopes(tokens, cotangents)).max(axis=-1)
    later = np.triu(np.ones((length, length), bool), 1)
    assert (reaches[later] == 0).all()
    assert (reaches[~later] > 0).all()


@pytest.mark.usefixtures("float64")
def test_gradients_of_the_two_forms_agree(core):
    tokens, weights = draw(66), draw(66, seed=2)

    def slopes(form):
        return jax.grad(lambda core, x: (form(core, x) * weights).sum(), (0, 1))

    both = jax.jit(lambda *inputs: (slopes(in_parallel)(*inputs), slopes(in_steps)(*inputs)))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11),
        *both(core, tokens),
    )


@pytest.mark.usefixtures("float64")
def test_jit_and_vmap_change_nothing(core):
    batch = draw(10).reshape(2, 5, WIDTH)
    plain = jnp.stack([core.parallel(tokens) for tokens in batch])
    together = jax.jit(jax.vmap(core.parallel))(batch)
    np.testing.assert_allclose(together, plain, rtol=1e-12, atol=1e-13)
    stepped = jax.jit(jax.vmap(lambda tokens: in_steps(core, tokens)))(batch)
    np.testing.assert_allclose(stepped, plain, rtol=1e-12, atol=1e-13)


@pytest.mark.usefixtures("optimised")
def test_gradients_over_two_thousand_tokens_are_finite(core):
    tokens = draw(2000)
    slope_in = jax.jit(jax.grad(lambda x: jnp.linalg.norm(core.parallel(x)[-1] + 1.0)))
    for scale in (0.0, 1.0, 100.0):
        slope = slope_in(scale * tokens)
        assert jnp.isfinite(slope).all()
        assert slope[-1].any()
