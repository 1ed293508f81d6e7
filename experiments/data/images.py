"""What every data set here is once loaded, and the error when it cannot be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class DataUnavailable(RuntimeError):
    """A data set is neither on disk nor to be fetched; the message says how to provide it."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """A labelled image data set in its two splits.

    Attributes:
        name: The data set's name, as given to `load`.
        train_images: uint8 [n, 32, 32, 3], rows from the top, channels red, green, blue.
        train_labels: int32 [n], classes counted from 0.
        test_images: uint8 [m, 32, 32, 3].
        test_labels: int32 [m].

    Raises:
        ValueError: If an array has another shape or dtype.
    """

    name: str
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int32]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int32]

    def __post_init__(self) -> None:
        for split, images, labels in (
            ("train", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            if images.dtype != np.uint8 or images.shape != (len(images), 32, 32, 3):
                raise ValueError(f"{split}_images must be uint8 [n, 32, 32, 3], got {images.dtype} {images.shape}")
            if labels.dtype != np.int32 or labels.shape != (len(images),):
                raise ValueError(f"{split}_labels must be int32 [{len(images)}], got {labels.dtype} {labels.shape}")

    @property
    def num_classes(self) -> int:
        """The number of classes: one more than the largest training label."""
        return int(self.train_labels.max()) + 1
