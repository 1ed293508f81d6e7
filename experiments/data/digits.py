"""Scikit-learn's handwritten digits in CIFAR-10's format: real images that need no download."""

import numpy as np

from experiments.data.images import ImageData

NUM_TRAIN = 1297
MAX_INK = 16  # the digits' grey levels are 0..16
SCALE = 4  # 8 x 8 pixels become 32 x 32


def load() -> ImageData:
    """Loads the 1,797 digits as colour images, enlarged to 32 x 32 by repeating pixels.

    Returns:
        1,297 training and 500 test images in a fixed shuffled order.
    """
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    grey = np.asarray(rows).reshape(-1, 8, 8)
    # Sorting raw random words: NumPy promises their stream for ever, and `permutation`'s only within a version.
    order = np.argsort(np.random.PCG64(0).random_raw(len(grey)), kind="stable")
    small = np.rint(grey[order] * (255 / MAX_INK)).astype(np.uint8)
    large = small.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
    images = np.repeat(large[..., None], 3, axis=-1)
    labels = np.asarray(labels, dtype=np.int32)[order]
    return ImageData("digits", images[:NUM_TRAIN], labels[:NUM_TRAIN], images[NUM_TRAIN:], labels[NUM_TRAIN:])
