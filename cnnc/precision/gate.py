"""The gate of a reduced model: how much accuracy it may lose, what the refusal says, and remarks on accepted ones."""

from collections.abc import Sequence

from cnnc.diagnostics import CnncError, Code, Note, counted
from cnnc.precision.choices import ALL_POINTS, FEWEST, GOOD_SNR
from cnnc.precision.fidelity import Fidelity


def accepts(found: Fidelity, max_drop: float) -> bool:
    """Whether the loss is at most `max_drop` points; outputs that are not classes need a good signal-to-noise ratio.

    A file whose error is larger than what the outputs say about the pictures is useless, whatever its best classes.
    """
    if max_drop >= ALL_POINTS:
        return True
    if found.first_snr < 0:
        return False
    return found.first_snr >= GOOD_SNR if found.drop is None else found.drop <= max_drop


def refused(precision: str, found: Fidelity, max_drop: float, in_float: Sequence[str], layers: int) -> CnncError:
    """Return E409 for a model that loses too much, with the best that keeping `in_float` of its layers achieved."""
    pictures = f"on {counted(found.pictures, 'picture')} that did not calibrate it"
    if found.first_snr < 0:
        lost = f"its error is larger than what the outputs differ by {pictures}, a signal-to-noise ratio of "
        lost += f"{found.first_snr:.1f} dB; the float32 network may be untrained, or the pictures too much alike"
    elif found.drop is None:
        lost = f"its outputs have a signal-to-noise ratio of {found.first_snr:.1f} dB {pictures}, at least "
        lost += f"{GOOD_SNR:g} dB is needed"
    elif found.accuracy is not None and found.labels_fit:
        lost = f"it loses {found.drop:.2f} points of accuracy {pictures}, {max_drop:g} are accepted: "
        lost += f"{found.accuracy:.2%} instead of {found.float_accuracy:.2%}"
    else:
        lost = f"it gives {found.drop:.2f} % of the scores another best class {pictures}, {max_drop:g} % are accepted"
    notes: tuple[Note, ...] = ()
    if in_float:
        kept = f"with {len(in_float)} of {counted(layers, 'layer')} in float32, among them {', '.join(in_float[:3])}"
        notes = (Note(f"this is the result {kept}"),)
    return CnncError.of(
        Code.ACCURACY_LOST,
        f"the {precision} file is not accurate enough: {lost}",
        notes=notes,
        help="nothing was written; calibrate with more pictures of the kind that the network will see, try another "
        "--calibration, use --precision fp16, or accept more with --max-drop",
    )


def remarks(found: Fidelity, calibrated: int | None, *, seen: bool) -> tuple[str, ...]:
    """Return remarks on an accepted model that its user should know; `calibrated` is the number of pictures.

    `seen`: whether the network may have learned from the pictures that it was compared on.
    """
    said = []
    if seen and found.accuracy is not None:
        said.append(
            "the data set has no test part: the accuracy is of pictures that the network may have learned from; "
            "`--run FOLDER`, with the folder of its training, takes those that were held out"
        )
    if calibrated is not None and calibrated < FEWEST:
        said.append(
            f"int8: calibrated with {counted(calibrated, 'picture')}; with fewer than {FEWEST}, the ranges of values "
            "are unreliable"
        )
    if found.float_accuracy is not None and not found.labels_fit:
        said.append(
            f"the float32 file classifies {found.float_accuracy:.1%} of the pictures as the data does, hardly better "
            "than guessing: the network has learned little, or other classes than the data has; only the best class of "
            "float32 counted"
        )
    if calibrated is not None and found.first_snr < GOOD_SNR:
        said.append(
            f"int8: the signal-to-noise ratio is {found.first_snr:.1f} dB; below {GOOD_SNR:g} dB, expect a loss of "
            "accuracy on other pictures"
        )
    return tuple(said)
