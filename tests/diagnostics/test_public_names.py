"""What the packages promise."""

import pytest

from beeline import diagnostics, theory


@pytest.mark.parametrize("package", [diagnostics, theory])
def test_the_public_names_are_sorted_and_there(package):
    assert list(package.__all__) == sorted(package.__all__)
    public = {name for name in vars(package) if name[0].isalpha()}
    assert set(package.__all__) <= public
    for name in package.__all__:
        assert getattr(package, name).__doc__, name
