"""Comparing the values of two runs."""

import numpy as np
import pytest

from cnnc.verification.compare import Distance, compare, noise, worst


def test_rounding_errors_whose_squares_overflow() -> None:
    exact = np.array([1e200, 3.0])
    found = noise(exact, np.zeros(2), np.array([1e200, 3.0]))
    assert found.largest == 1e200
    assert found.mean == pytest.approx(1e200 / 2**0.5)


def test_differences_whose_squares_overflow() -> None:
    torch = np.array([1e200, 1e200])
    assert compare(torch * (1 + 1e-5), torch).ok
    assert not compare(torch * (1 + 5e-4), torch).ok  # within the tolerance of an element, not of the mean


def test_the_worst_has_the_largest_of_each_number() -> None:
    found = [Distance(1e-6, 2e-3, True, 0.5), Distance(3e-6, 1e-3, False, 0.1)]
    assert worst(found) == worst(found[::-1]) == Distance(3e-6, 2e-3, False, 0.5)
    assert worst([]) == Distance(0.0, 0.0, True, 0.0)
