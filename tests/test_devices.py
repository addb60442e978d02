"""Devices are counted when JAX first looks for them: each number needs a process of its own."""

import dataclasses
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.compute.devices import mean_over_devices, use_every_core, use_single_precision
from beeline.config import Config
from beeline.run.directory.config_file import to_json

MEAN = """
import json, sys
import jax, jax.numpy as jnp
import equinox as eqx
from beeline.compute.devices import everywhere, mean_over_devices

def mean_and_each(shared, x, y):
    # Functions among the arrays, as modules have them, must come through.
    scale, activation = shared
    return (scale * (x * y[:, None]).mean(), activation), {"sum": x.sum(axis=1)}

@eqx.filter_jit
def over_devices(x, y):
    (mean, activation), each = mean_over_devices(mean_and_each, (jnp.asarray(2.0), jnp.tanh), x, y)
    return activation(mean), each["sum"]

report = {"devices": jax.device_count()}
for batch in (12, 7):
    x, y = jnp.sin(jnp.arange(5.0 * batch)).reshape(batch, 5), jnp.cos(jnp.arange(1.0 * batch))
    x, y = jax.device_put((x, y), everywhere())
    report[batch] = [over_devices(x, y)[0].tolist(), over_devices(x, y)[1].tolist()]
    lowered = jax.jit(lambda x, y: over_devices(x, y)).lower(x, y).as_text()
    report[f"shared {batch}"] = "all_reduce" in lowered
print(json.dumps(report))
"""

TRAIN = """
import json, sys
import jax
import beeline
from beeline.run.directory.config_file import from_json
from beeline.run.directory.layout import SCHEMA

run = beeline.train(config=from_json(json.loads(sys.argv[1]), "the test", SCHEMA))
print(json.dumps({"devices": jax.device_count(), "records": run.records}))
"""


def report(program: str, devices: int, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(devices))
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True
    )
    assert not done.returncode, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_devices_average_to_what_one_computes(monkeypatch):
    several = report(MEAN, 3, monkeypatch)
    assert several["devices"] == 3
    assert several["shared 12"]
    assert not several["shared 7"]
    for batch in (12, 7):
        x = np.sin(np.arange(5.0 * batch)).reshape(batch, 5)
        y = np.cos(np.arange(1.0 * batch))
        mean, each = several[str(batch)]
        np.testing.assert_allclose(mean, np.tanh(2 * (x * y[:, None]).mean()), atol=1e-6)
        np.testing.assert_allclose(each, x.sum(axis=1), atol=1e-5)


def check_rows(config: Config, one: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    two = report(TRAIN, 2, monkeypatch, json.dumps(to_json(config)))
    assert two["devices"] == 2
    assert len(one) == len(two["records"])
    # Sums in another order differ in the last digits, and training makes those grow.
    for row, other in zip(one[:3], two["records"][:3], strict=True):
        for name in ("model_loss", "imagined_return", "policy_gradient_norm", "return"):
            np.testing.assert_allclose(row[name], other[name], rtol=1e-3, atol=1e-5)


def test_training_on_two_devices_is_training(pair, monkeypatch):
    check_rows(pair.config, pair.records, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["rnn-awm", "ssm-awm", "transformer-awm", "lstm-history"])
def test_every_kind_of_core_spreads_over_devices(tiny, model, monkeypatch):
    config = dataclasses.replace(tiny, model=model, env_steps=200)
    check_rows(config, beeline.train(config=config).records, monkeypatch)


def test_one_device_computes_without_a_mesh():
    def mean_and_each(shared, x):
        return shared + x.mean(), x

    mean, each = mean_over_devices(mean_and_each, 2, jnp.arange(4.0))
    assert mean == 3.5
    np.testing.assert_array_equal(each, jnp.arange(4.0))


def test_a_number_of_devices_that_was_asked_for_is_kept():
    use_every_core(16)
    assert jax.config.values["jax_num_cpu_devices"] == 1
    assert jax.local_device_count() == 1


@pytest.mark.parametrize(
    ("backend", "asked", "wanted"),
    [("gpu", None, "highest"), ("gpu", "tensorfloat32", "tensorfloat32"), ("cpu", None, None)],
)
def test_accelerators_multiply_in_single_precision(backend, asked, wanted, monkeypatch):
    name = "jax_default_matmul_precision"
    before = jax.config.values[name]
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    try:
        jax.config.update(name, asked)
        use_single_precision()
        assert jax.config.values[name] == wanted
    finally:
        jax.config.update(name, before)
