"""The normalisation of pixels: scale, mean and standard deviation, each of which a file may leave out."""

import numpy as np
import pytest

from cnnc.graph.graph import Picture
from cnnc.targets.pixels import normalise

PIXELS = np.array([[[0, 51], [102, 255]]], np.uint8)


@pytest.mark.parametrize(
    ("mean", "std", "scale", "expected"),
    [
        ((), (), 1, [[0, 0.2], [0.4, 1]]),
        ((), (), 255, [[0, 51], [102, 255]]),
        ((0.2,), (), 1, [[-0.2, 0], [0.2, 0.8]]),
        ((), (0.5,), 1, [[0, 0.4], [0.8, 2]]),
        ((51.0,), (2.0,), 255, [[-25.5, 0], [25.5, 102]]),
    ],
)
def test_pixels_are_scaled_shifted_and_divided(mean, std, scale, expected):
    found = normalise(PIXELS, Picture("grey", mean, std, scale=scale))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [expected], atol=1e-6)
