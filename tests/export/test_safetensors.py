"""Weights by name, read by the package that the format is of."""

import json
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from beeline.export import ExportError, export_policy


def put_back(tree, part, arrays):
    """Follow each name from the module, as the documentation says, and put the array there."""
    for name, array in arrays.items():
        first, *steps = name.split(".")
        if first != part:
            continue

        def follow(module, steps=steps):
            for step in steps:
                module = module[int(step)] if step.isdigit() else getattr(module, step)
            return module

        assert follow(tree).shape == array.shape
        tree = eqx.tree_at(follow, tree, jnp.asarray(array))
    return tree


def test_every_weight_has_the_name_that_leads_to_it(trained, tmp_path):
    file = trained.export(tmp_path / "weights.safetensors", to="safetensors")
    arrays = load_file(file)
    blank = jax.tree.map(
        lambda x: jnp.zeros_like(x) if eqx.is_inexact_array(x) else x,
        (trained.policy, trained.model),
    )
    policy, model = (
        put_back(module, part, arrays)
        for module, part in zip(blank, ("policy", "model"), strict=True)
    )
    state = jnp.asarray([0.7])
    assert not np.array_equal(blank[0].mode(state, 3), trained.policy.mode(state, 3))
    np.testing.assert_array_equal(policy.mode(state, 3), trained.policy.mode(state, 3))
    states, actions = jnp.full((4, 1), 0.5), jnp.full((4, 1), 0.2)
    predict = jax.jit(lambda model: model.predict(states, actions))
    np.testing.assert_array_equal(predict(model), predict(trained.model))
    assert {name.partition(".")[0] for name in arrays} == {"policy", "model"}
    assert all(array.dtype == np.float32 for array in arrays.values())
    weight = np.asarray(trained.policy.network.layers[0].weight)
    np.testing.assert_array_equal(arrays["policy.network.layers.0.weight"], weight)


def test_the_file_says_what_it_holds(trained, tmp_path):
    file = trained.export(tmp_path / "weights.safetensors", to="safetensors")
    with safe_open(file, "np") as opened:
        about = json.loads(opened.metadata()["beeline"])
    assert about["task"] == "cancer-treatment"
    assert about["inputs"] == ["state", "t"]
    assert about["action"][0]["high"] == 2.0


def test_without_the_package_it_is_said(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ExportError, match=r"pip install 'beeline\[export\]'"):
        export_policy(trained.policy, trained.env, tmp_path / "file", to="safetensors")
