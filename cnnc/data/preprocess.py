"""Preprocess batches of pictures in memory, on their device, as `cnnc infer` preprocesses one picture.

Takes uint8 pictures of one size and the graph's input. Returns float32 (N, C, H, W), within 1/255 of the result of
`cnnc.data.pictures.prepare`. Training, its tests and `cnnc eval` use this module. Colours are converted once, when the
pictures are loaded (`settle`); sizes and values for each batch (`resize`, `normalise`).
"""

from typing import TYPE_CHECKING

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Input, Picture
from cnnc.ops.types import CHANNELS

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

LUMA = (19595, 38470, 7471)  # the weights of ITU-R 601 times 2**16, as in Pillow


class Preprocess:
    """The preprocessing of one graph input."""

    def __init__(self, to: Input) -> None:
        channels, self._height, self._width = (*to.type.shape, None, None)[:3]
        self._picture = to.picture or Picture(mode="", mean=(), std=())
        self._channels = CHANNELS.get(self._picture.mode, channels)

    @property
    def fixed(self) -> bool:
        """Whether pictures of all sizes get the same size."""
        return self._picture.crop is not None or self.resized(1, 2) == self.resized(3, 4)

    @property
    def takes_colours(self) -> bool:
        """Whether pictures with three channels stay so."""
        return self._picture.mode != "grey" and self._channels == 3

    def frame(self) -> tuple[int, int]:
        """Return the height and width that pictures can be cut to after `resize`, if they are `fixed`."""
        crop, resize = self._picture.crop, self._picture.resize
        if crop is not None and isinstance(resize, int):
            return max(resize, crop[0]), max(resize, crop[1])
        return self.resized(*(crop or (1, 1)))

    def require(self, height: int, width: int, channels: int) -> None:
        """Raise E510 if pictures of this size and number of channels cannot be the input."""
        import torch

        self.resize(self.settle(torch.zeros((1, height, width, channels), dtype=torch.uint8)))

    def settle(self, images: "Tensor") -> "Tensor":
        """Convert uint8 (N, H, W, C) to the input's colours, as (N, C, H, W), which may be a view; raises E510."""
        import torch

        found = images.shape[-1]
        if found == 3 and self._picture.mode == "grey":
            red, green, blue = images.to(torch.int32).unbind(-1)
            grey = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + 0x8000
            return (grey >> 16).to(torch.uint8)[:, None]
        if found == 1 and self._picture.mode in ("rgb", "bgr"):
            images = images.expand(*images.shape[:3], 3)
        elif found != self._channels:
            raise CnncError.of(
                Code.DATA_MISFIT,
                f"the pictures have {found} channels, but the network takes {self._channels}",
                help=f"change the spec's input to {found} channels",
            )
        if self._picture.mode == "bgr":
            images = images.flip(-1)
        return images.permute(0, 3, 1, 2)  # resizing this view is faster than resizing a copy

    def in_grey(self, image: "Image") -> "Image":
        """Return a Pillow image as the input's grey, if it is grey: as `settle` does, and faster for one picture."""
        return image.convert("L") if self._picture.mode == "grey" else image

    def shown(self, picture: "Tensor") -> "Tensor":
        """Return a picture (C, H, W) in the colours of the input as people see it: in RGB if it is BGR."""
        return picture.flip(0) if self._picture.mode == "bgr" else picture

    def resize(self, images: "Tensor") -> "Tensor":
        """Resize uint8 (N, C, H, W) and crop from the centre to the input's height and width; raises E510.

        Returns a contiguous tensor.
        """
        return self.crop(self.scaled(images)).contiguous()

    def scaled(self, images: "Tensor", original: tuple[int, int] | None = None) -> "Tensor":
        """Resize as `resize` does, without the crop.

        `original` are height and width of the pictures if they were decoded at a reduced scale.
        """
        size = self.resized(*(original or images.shape[-2:]))
        if size == tuple(images.shape[-2:]):
            return images
        return RESIZES[self._picture.interpolation](images, size)

    def resize_masks(self, masks: "Tensor") -> "Tensor":
        """Resize and crop (N, H, W) as `resize` does pictures of this size; each pixel takes the nearest value."""
        return self.crop(self.scaled_masks(masks))

    def scaled_masks(self, masks: "Tensor") -> "Tensor":
        """Resize masks as `resize_masks` does, without the crop."""
        import torch

        own = masks.shape[-2:]
        size = self.resized(*own)
        for axis in (0, 1):
            if size[axis] != own[axis]:  # the pixel at the centre, in whole numbers
                index = (2 * torch.arange(size[axis], device=masks.device) + 1) * own[axis] // (2 * size[axis])
                masks = masks.index_select(1 + axis, index)
        return masks

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width that `resize` gives pictures of this size."""
        return self._picture.crop or self.resized(height, width)

    def normalise(self, images: "Tensor") -> "Tensor":
        """Scale 0..255 to 0..scale, subtract the mean and divide by the standard deviation; returns float32."""
        import torch

        values = images.to(torch.float32)
        if self._picture.scale == 1:
            values.div_(255)
        if any(self._picture.mean):
            values.sub_(_each_channel(self._picture.mean, values))
        if any(each != 1 for each in self._picture.std):
            values.div_(_each_channel(self._picture.std, values))
        return values

    def __call__(self, images: "Tensor") -> "Tensor":
        """Resize and normalise uint8 (N, C, H, W) from `settle` to float32 (N, C, height, width)."""
        return self.normalise(self.resize(images))

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width to which `resize` resizes pictures of this size, before the crop."""
        resize = self._picture.resize
        if isinstance(resize, int):
            shorter = min(height, width)
            return max(1, resize * height // shorter), max(1, resize * width // shorter)
        if resize is not None:
            return resize
        if self._picture.crop is not None or self._height is None or self._width is None:
            return height, width
        return self._height, self._width

    def crop(self, images: "Tensor") -> "Tensor":
        """Crop resized pictures or masks from the centre; raises E510 if they are smaller, or not what the input is."""
        height, width = images.shape[-2:]
        high, wide = self._picture.crop or (height, width)
        if high > height or wide > width:
            raise CnncError.of(
                Code.DATA_MISFIT,
                f"the pictures are {height} × {width} (height × width), smaller than the centre crop of {high} × "
                f"{wide}",
                help="give the input a `resize` at least as large as its `crop`",
            )
        wanted = (self._height or high, self._width or wide)
        if (high, wide) != wanted:
            raise CnncError.of(
                Code.DATA_MISFIT,
                f"the prepared pictures are {high} × {wide} (height × width), but the network takes "
                f"{wanted[0]} × {wanted[1]}",
                help=f"give the spec's input `resize: [{wanted[0]}, {wanted[1]}]`",
            )
        top, left = round((height - high) / 2), round((width - wide) / 2)
        return images[..., top : top + high, left : left + wide]


def _bilinear(images: "Tensor", size: tuple[int, int]) -> "Tensor":
    """Resize as Pillow's bilinear filter does; the CPU's uint8 kernel is five times as fast as the float one."""
    import torch
    from torch.nn.functional import interpolate

    if images.device.type == "cpu":
        return interpolate(images, size, mode="bilinear", antialias=True)
    smaller = size[0] < images.shape[-2] or size[1] < images.shape[-1]
    resized = interpolate(images.to(torch.float32), size, mode="bilinear", antialias=smaller)
    return resized.round_().clamp_(0, 255)


def _bicubic(images: "Tensor", size: tuple[int, int]) -> "Tensor":
    """Resize as Pillow's bicubic filter does: with Pillow on the CPU, where torch's differs by up to 2 of 255."""
    return _by_pillow(images, size) if images.device.type == "cpu" else in_two_passes(images, size)


def in_two_passes(images: "Tensor", size: tuple[int, int]) -> "Tensor":
    """Resize bicubically along the width, then along the height, rounding to 0..255 in between, as Pillow does."""
    import torch
    from torch.nn.functional import interpolate

    images = images.to(torch.float32)
    for step in ((images.shape[-2], size[1]), size):
        images = interpolate(images, step, mode="bicubic", antialias=True).add_(0.5).floor_().clamp_(0, 255)
    return images


def _by_pillow(images: "Tensor", size: tuple[int, int]) -> "Tensor":
    import numpy as np
    import torch
    from PIL import Image

    found = np.empty((*images.shape[:2], *size), np.uint8)
    for image, place in zip(images.numpy(), found, strict=True):
        for channel, there in zip(image, place, strict=True):
            there[:] = Image.fromarray(channel).resize(size[::-1], Image.Resampling.BICUBIC)
    return torch.from_numpy(found)


RESIZES = {"bilinear": _bilinear, "bicubic": _bicubic}


def _each_channel(numbers: tuple[float, ...], like: "Tensor") -> "Tensor":
    return like.new_tensor(numbers)[:, None, None]
