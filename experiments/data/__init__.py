"""Real images as NumPy arrays: CIFAR-10, or scikit-learn's digits where CIFAR-10 cannot be had.

`load()` is the one entry point; it returns `ImageData`. CIFAR-10 is read from the folder named by the environment
variable `KERNELDEP_DATA`, else from the user's cache, and fetched when it is missing there.
"""

import warnings
from typing import Literal

from experiments.data import cifar10, digits
from experiments.data.images import DataUnavailable, ImageData

__all__ = ["DataUnavailable", "ImageData", "load"]


def load(name: Literal["auto", "cifar10", "digits"] = "auto", *, download: bool = True) -> ImageData:
    """Loads a data set of small colour images.

    Args:
        name: `"cifar10"`; `"digits"`; or `"auto"`, which is CIFAR-10 where it can be had and otherwise, with one
            warning, the digits.
        download: Whether CIFAR-10 may be fetched when its files are missing or damaged.

    Returns:
        The images (uint8 [n, 32, 32, 3]) and labels (int32 [n]) of both splits.

    Raises:
        DataUnavailable: If `name` is `"cifar10"` and its files are neither here nor to be fetched.
        ValueError: If `name` is none of the three.
    """
    if name == "digits":
        return digits.load()
    if name not in ("auto", "cifar10"):
        raise ValueError(f'name must be "auto", "cifar10" or "digits", got {name!r}')
    try:
        return cifar10.load(download=download)
    except DataUnavailable as error:
        if name == "cifar10":
            raise
        warnings.warn(f"Using scikit-learn's digits in place of CIFAR-10. {error}", stacklevel=2)
        return digits.load()
