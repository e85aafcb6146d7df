"""What an output holds: one score per class, a segmentation, a picture, and so on.

Takes shapes without the batch, channels first, as in `TensorType`; a size may be unknown (None). A spec names the kind
of an output with `as`; otherwise the shape decides.
"""

KINDS = ("classes", "probabilities", "segmentation", "picture", "vector", "raw")
OUTSIDE = 255
"""The value of a mask's pixels that the network did not see, because `crop` or its own windows left them out."""
MOST_CLASSES = 255  # of a segmentation: the indices below OUTSIDE

Shape = tuple[int | None, ...]


def default_kind(shape: Shape, labels: int = 0) -> str:
    """Return the kind of an output without `as`, by its shape and the number of labels.

    At most one axis with more than one element: classes. A map of 2 to 255 channels, or of 1 channel if there are 2
    labels: segmentation. Everything else: raw.
    """
    if _is_vector(shape):
        return "classes"
    channels = shape[0] if len(shape) == 3 else None
    is_segmentation = channels is not None and (2 <= channels <= MOST_CLASSES or (channels == 1 and labels == 2))
    return "segmentation" if is_segmentation else "raw"


def class_count(kind: str, shape: Shape) -> int | None:
    """Return the number of classes of an output; None for kinds without classes.

    A segmentation of one channel has two classes: 0 where its value means no, 1 where it means yes.
    """
    if kind == "segmentation":
        return 2 if shape[0] == 1 else shape[0]
    if kind in ("classes", "probabilities"):
        return next((side for side in shape if side != 1), 1)
    return None


def misfit(kind: str, shape: Shape) -> str | None:
    """Return what an output of this kind must be, in words, if no value of this shape can be one; otherwise None."""
    known = tuple(1 if side is None else side for side in shape)
    if kind in ("classes", "probabilities"):
        return None if _is_vector(known) else "a vector, one score per class"
    if kind == "vector":
        return None if _is_vector(known) else "a vector"
    if kind == "segmentation":
        fits = len(shape) == 3 and known[0] <= MOST_CLASSES
        return None if fits else f"a map of 1 to {MOST_CLASSES} channels, one per class"
    if kind == "picture":
        return None if len(shape) == 3 and shape[0] in (1, 3) else "a map of 1 channel (grey) or 3 (rgb, bgr)"
    return None


def _is_vector(shape: Shape) -> bool:
    """Whether at most one axis has more than one element."""
    return sum(side != 1 for side in shape) <= 1
