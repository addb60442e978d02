"""What the package promises."""

from beeline import diagnostics


def test_the_public_names_are_sorted_and_there():
    assert list(diagnostics.__all__) == sorted(diagnostics.__all__)
    public = {name for name in vars(diagnostics) if name[0].isalpha()}
    assert set(diagnostics.__all__) <= public
    for name in diagnostics.__all__:
        assert getattr(diagnostics, name).__doc__, name
