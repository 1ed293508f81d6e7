"""The usual formulas of random views (those of torchvision's transforms), in plain NumPy."""

import colorsys
import math

import numpy as np


def resized_crop(rng: np.random.Generator, side: int, min_area: float) -> tuple[int, int, int, int]:
    """Top, left, height and width: whole pixels, drawn again (up to ten times) where the crop does not fit."""
    for _ in range(10):
        area = side * side * rng.uniform(min_area, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= side and 0 < height <= side:
            return int(rng.integers(side - height + 1)), int(rng.integers(side - width + 1)), height, width
    return 0, 0, side, side


def blurred(image: np.ndarray, sigma: float, radius: int) -> np.ndarray:
    """Gaussian blur of [h, w, 3] with a kernel of 2·radius + 1 pixels; the image mirrored without its edge."""
    x = np.linspace(-radius, radius, 2 * radius + 1)
    kernel = np.exp(-0.5 * (x / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
    result = np.zeros(image.shape)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            window = padded[i : i + 2 * radius + 1, j : j + 2 * radius + 1]
            result[i, j] = np.einsum("i,j,ijc->c", kernel, kernel, window)
    return result


def solarised(image: np.ndarray, threshold: float) -> np.ndarray:
    """Values from the threshold on inverted."""
    return np.where(image >= threshold, 1 - image, image)


def jittered(image: np.ndarray, brightness: float, contrast: float, saturation: float) -> np.ndarray:
    """Brightness, contrast and saturation, one after the other, without cutting to [0, 1] in between."""
    luma = np.array([0.299, 0.587, 0.114])
    image = brightness * image
    image = contrast * image + (1 - contrast) * (image @ luma).mean()
    return saturation * image + (1 - saturation) * (image @ luma)[..., None]


def hue_turned(colour: np.ndarray, turns: float) -> np.ndarray:
    """One colour with its hue in HSV moved by `turns`."""
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    return np.array(colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value))


def distance_to_uniform(values: np.ndarray, low: float, high: float) -> float:
    """Kolmogorov's: the largest difference of the distribution functions."""
    ordered = np.sort((values - low) / (high - low))
    steps = np.arange(len(values) + 1) / len(values)
    return float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))
