"""Comparing the values of two runs."""

import numpy as np
import pytest

from cnnc.verification.compare import compare, noise


def test_rounding_errors_whose_squares_overflow() -> None:
    exact = np.array([1e200, 3.0])
    found = noise(exact, np.zeros(2), np.array([1e200, 3.0]))
    assert found.largest == 1e200
    assert found.mean == pytest.approx(1e200 / 2**0.5)


def test_differences_whose_squares_overflow() -> None:
    torch = np.array([1e200, 1e200])
    assert compare(torch * (1 + 1e-5), torch).ok
    assert not compare(torch * (1 + 5e-4), torch).ok  # within the tolerance of an element, not of the mean
