"""The comparison of outputs: signal and noise by channel, near ties, accuracy."""

import numpy as np
import pytest

from cnnc.diagnostics import CnncError
from cnnc.precision.fidelity import LIMIT, Fidelity, compare
from cnnc.precision.gate import accepts, refused


def compared(wanted, given, labels=None, batch=2, **more):
    wanted, given = np.asarray(wanted, np.float32), np.asarray(given, np.float32)
    feeds = [{"at": np.arange(at, min(at + batch, len(wanted)))} for at in range(0, len(wanted), batch)]
    return compare(lambda feed: [wanted[feed["at"]]], lambda feed: [given[feed["at"]]], ["out"], feeds, labels, **more)


def test_a_file_whose_error_is_larger_than_its_signal_is_refused():
    found = Fidelity(40, {"y": -22.9}, relative=0.01, agreement=1.0)
    assert not accepts(found, max_drop=1)
    assert accepts(found, max_drop=100)
    message = str(refused("int8", found, 1, [], 3))
    assert "a signal-to-noise ratio of -22.9 dB; the float32 network may be untrained" in message


def test_the_signal_is_the_variance_of_each_channel():
    """A constant of 100 in one channel is no signal: it hides no noise."""
    wanted = np.array([[100, 1], [100, -1], [100, 1], [100, -1]])
    assert compared(wanted, wanted + 0.1).first_snr == pytest.approx(10 * np.log10(4 / 0.08), abs=1e-3)
    assert compared(wanted, wanted).first_snr == LIMIT
    assert compared(wanted, wanted * np.nan).first_snr == -LIMIT


def test_equal_outputs_of_all_pictures_are_their_own_signal():
    wanted = np.full((4, 2), 10.0)
    assert compared(wanted, wanted + 1).first_snr == pytest.approx(20, abs=1e-3)
    assert compared(0 * wanted, wanted).first_snr == -LIMIT


def test_a_single_number_for_each_picture_is_one_channel():
    wanted = np.array([1.0, -1, 1, -1])
    assert compared(wanted, wanted + 0.1).first_snr == pytest.approx(20, abs=1e-3)


def test_maps_are_compared_by_channel_and_position():
    random = np.random.default_rng(0)
    wanted = random.standard_normal((5, 3, 4, 4))
    found = compared(wanted, wanted + 0.01 * random.standard_normal(wanted.shape))
    assert 38 < found.first_snr < 42
    assert found.agreement > 0.98
    assert found.pictures == 5


def test_near_ties_do_not_count():
    wanted = [[0, 1.0, 0.999], [0, 1, 0.5], [1, 0, 0.2], [0, 1, 0.3]]
    given = [[0, 0.999, 1.0], [0, 1, 0.5], [0, 1, 0.2], [0, 1, 0.3]]
    found = compared(wanted, given)
    assert found.near_ties == 1
    assert found.agreement == pytest.approx(2 / 3)
    assert found.drop == pytest.approx(100 / 3)


def test_labels_give_accuracy_and_decide_if_float32_finds_them():
    wanted = np.eye(4)
    given = np.eye(4)[[0, 1, 2, 2]]
    found = compared(wanted, given, np.arange(4))
    assert (found.float_accuracy, found.accuracy, found.drop) == (1, 0.75, 25)
    assert compared(wanted, given, (np.arange(4) + 1) % 4).drop == 25  # the fraction of other classes
    with pytest.raises(CnncError, match=r"E510.*has the label 4"):
        compared(wanted, given, np.arange(4) + 1)


def test_outputs_that_are_not_classes_have_no_drop():
    found = compared(np.eye(4), np.eye(4), classes=False)
    assert found.drop is None
    assert found.agreement is None
    assert compared(np.ones((3, 1)), np.ones((3, 1))).agreement is None
