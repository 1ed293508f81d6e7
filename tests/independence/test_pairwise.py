"""Tests of all pairs of columns."""

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.stats

from kerneldep.independence import gamma_test, pairwise_tests, permutation_test, wild_bootstrap_test
from kerneldep.independence.pairwise import adjusted_p_values


def table(n: int = 80) -> dict[str, np.ndarray]:
    x, noise, other = np.random.default_rng(0).normal(size=(3, n))
    return {"x": x, "square": x**2 + 0.3 * noise, "other": other}


def test_each_pair_is_tested_once_and_corrected():
    columns = table()
    found = pairwise_tests(columns)
    for (a, b), result in found.results.items():
        i, j = found.names.index(a), found.names.index(b)
        alone = gamma_test(columns[a], columns[b])
        assert found.p_value[i, j] == found.p_value[j, i] == alone.p_value == result.p_value
        assert found.statistic[i, j] == alone.statistic
    assert np.isnan(np.diag(found.adjusted)).all()
    assert found.rejected == [("x", "square")]
    assert "x – square" in " ".join(str(found).split())
    assert found._repr_html_().count("<tr>") == 4


def test_tables_of_any_kind_are_one_table():
    columns = table()
    frame = pd.DataFrame(columns)
    found = [pairwise_tests(kind) for kind in (columns, frame, frame.to_numpy())]
    for one in found[1:]:
        np.testing.assert_array_equal(one.adjusted, found[0].adjusted)
    assert found[1].names == ("x", "square", "other")
    assert found[2].names == ("0", "1", "2")


def test_corrections():
    p = np.array([0.01, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(adjusted_p_values(p, "holm"), [0.04, 0.09, 0.09, 0.5])
    np.testing.assert_allclose(adjusted_p_values(p, "benjamini-hochberg"), scipy.stats.false_discovery_control(p))
    by = scipy.stats.false_discovery_control(p, method="by")
    np.testing.assert_allclose(adjusted_p_values(p, "benjamini-yekutieli"), by)
    np.testing.assert_allclose(adjusted_p_values(p, "none"), p)


def test_permutations_with_a_key_of_their_own_each():
    found = pairwise_tests(table(), permutation_test, num_permutations=99, key=jax.random.key(0))
    assert found.p_value[0, 1] == 0.01
    nulls = [one.null for one in found.results.values()]
    assert not np.array_equal(nulls[0], nulls[1])


def test_bad_input(unhooked):
    with pytest.raises(ValueError, match="1 column"):
        pairwise_tests({"x": np.arange(9.0)})
    with pytest.raises(ValueError, match="columns of one name: a, a"):
        pairwise_tests(pd.DataFrame(np.ones((9, 2)), columns=["a", "a"]))
    with pytest.raises(ValueError, match="columns of one name: 1, 1"):
        pairwise_tests({1: np.arange(9.0), "1": np.ones(9)})
    with pytest.raises(ValueError, match="columns of one name: 1, 1"):
        pairwise_tests(pd.DataFrame(np.ones((9, 2)), columns=[1, "1"]))
    with pytest.raises(ValueError, match="num_permutations is -1"):
        pairwise_tests(table(), permutation_test, num_permutations=-1, key=jax.random.key(0))
    with pytest.raises(ValueError, match="samples as rows"):
        pairwise_tests(np.arange(9.0))
    with pytest.raises(ValueError, match="correction is 'bonferroni'"):
        pairwise_tests(table(), correction="bonferroni")
    with pytest.raises(ValueError, match="key is missing"):
        pairwise_tests(table(), permutation_test)
    with pytest.raises(ValueError, match="alpha is 0"):
        pairwise_tests(table(), alpha=0)
    with pytest.warns(UserWarning, match="3 pairs, Holm's correction and num_permutations=39"):
        pairwise_tests(table(), permutation_test, num_permutations=39, key=jax.random.key(0))
    with pytest.warns(UserWarning, match="num_bootstraps=39"):
        pairwise_tests(table(), wild_bootstrap_test, num_bootstraps=39, key=jax.random.key(0))


def test_the_expected_share_of_false_claims_reaches_below_what_holm_s_can():
    """All pairs of copies are found together, with p-values of which none alone could carry the correction."""
    x = np.random.default_rng(0).normal(size=40)
    columns = {str(i): x for i in range(5)}
    options = {"correction": "benjamini-hochberg", "num_permutations": 39, "key": jax.random.key(0)}
    assert len(pairwise_tests(columns, permutation_test, **options).rejected) == 10
