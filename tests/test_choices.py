import pytest

from beeline._choices import choose

OPTIONS = {"cancer-treatment": 1, "bioreactor": 2, "harvest": 3}


def test_a_name_that_is_there():
    assert choose("task", "bioreactor", OPTIONS) == 2


def test_a_near_miss_is_corrected():
    with pytest.raises(ValueError, match="unknown task 'bioreacter': did you mean 'bioreactor'"):
        choose("task", "bioreacter", OPTIONS)


def test_everything_allowed_is_listed_in_order():
    with pytest.raises(ValueError, match="choose from bioreactor, cancer-treatment, harvest"):
        choose("task", "zzz", OPTIONS)


def test_nothing_is_suggested_where_nothing_is_near():
    with pytest.raises(ValueError, match="unknown task 'zzz': choose"):
        choose("task", "zzz", OPTIONS)
