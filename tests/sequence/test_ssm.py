import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.sequence import SSM

WIDTH, MODES = 6, 5


def make_core(layers=2):
    core = SSM(WIDTH, layers, MODES, key=jax.random.key(0))
    leaves, structure = jax.tree.flatten(core)
    keys = jax.random.split(jax.random.key(9), len(leaves))
    moved = [x + 0.1 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(structure, moved)


def draw(length):
    return np.random.default_rng(0).normal(size=(length, WIDTH))


def normalise(layer, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * np.asarray(layer.weight) + np.asarray(layer.bias)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def recur(part, u):
    drive, read = np.asarray(part.drive), np.asarray(part.read)
    drive = drive[:, :MODES] + 1j * drive[:, MODES:]
    read = read[:MODES] - 1j * read[MODES:]
    eigenvalues = np.exp(-np.exp(np.asarray(part.log_decay)) + 1j * np.exp(part.log_phase))
    gain = 1 - np.abs(eigenvalues)
    state, outputs = np.zeros(MODES, complex), []
    for row in u:
        state = eigenvalues * state + gain * (row @ drive)
        outputs.append((state @ read).real + np.asarray(part.skip) * row)
    return np.stack(outputs)


def oracle(core, x):
    for block in core.blocks:
        y = gelu(recur(block.recurrence, normalise(block.norm, x)))
        mixed = y @ np.asarray(block.mix.weight) + np.asarray(block.mix.bias)
        x = x + mixed[:, :WIDTH] / (1 + np.exp(-mixed[:, WIDTH:]))
    return normalise(core.norm, x)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("length", [1, 50])
def test_parallel_against_numpy(monkeypatch, backend, length):
    core, tokens = make_core(), draw(length)
    # On accelerators the recurrence is evaluated in rounds, which a CPU can do as well.
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    outputs = jax.jit(lambda core, x: core.parallel(x))(core, jnp.array(tokens))
    np.testing.assert_allclose(outputs, oracle(core, tokens), rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("float64")
def test_the_two_sweeps_have_the_same_gradient(monkeypatch):
    core, tokens, weights = make_core(1), jnp.array(draw(40)), draw(40)[::-1]

    def slopes(backend):
        monkeypatch.setattr(jax, "default_backend", lambda: backend)
        value = jax.grad(lambda core, x: (core.parallel(x) * weights).sum(), (0, 1))
        return jax.jit(value)(core, tokens)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11),
        slopes("gpu"),
        slopes("cpu"),
    )


def test_memories_start_spread_over_orders_of_magnitude():
    part = SSM(4, 1, 500, memories=(2.0, 2000.0), largest_phase=0.3, key=jax.random.key(0))
    part = part.blocks[0].recurrence
    memory, phase = np.exp(-part.log_decay), np.exp(part.log_phase)
    assert 2 <= memory.min() < 2.2
    assert 1800 < memory.max() <= 2000
    # As many in each decade.
    np.testing.assert_allclose(np.histogram(memory, [2, 20, 200, 2000])[0], 500 / 3, rtol=0.15)
    assert phase.min() > 0
    assert 0.29 < phase.max() <= 0.3


def test_a_mode_at_rest_is_the_average_of_its_input():
    part = SSM(3, 1, 40, memories=(5.0, 50.0), largest_phase=1e-9, key=jax.random.key(0))
    part = part.blocks[0].recurrence
    u = jnp.broadcast_to(jnp.array([0.3, -1.0, 2.0]), (2000, 3))
    modes = jax.jit(lambda u: part.sweep(part.excite(u)))(u)
    np.testing.assert_allclose(
        jnp.concatenate([modes.real[-1], modes.imaginary[-1]]), u[0] @ part.drive, rtol=1e-3
    )


@pytest.mark.parametrize("factor", [-5.0, 0.0, 5.0])
def test_no_weights_make_it_unstable(factor):
    part = SSM(4, 1, 8, key=jax.random.key(0)).blocks[0].recurrence
    wild = jax.tree.map(lambda x: factor * x, part)
    impulse = jnp.zeros((500, 4)).at[0].set(1.0)
    added = part.excite(impulse)
    real, imaginary = jax.jit(lambda added: wild.sweep(added))(added)
    size = np.hypot(real, imaginary)
    assert (size[1:] <= size[:-1] * (1 + 1e-6)).all()


@pytest.mark.parametrize(
    "memories", [(0.0, 9.0), (9.0, 9.0), (9.0, np.inf), (9.0, 5.0), (-1.0, 5.0)]
)
def test_memories_are_positive_and_increase(memories):
    with pytest.raises(ValueError, match=r"positive and increasing"):
        SSM(4, memories=memories, key=jax.random.key(0))
