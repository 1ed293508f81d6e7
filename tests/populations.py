"""Finite populations of views: the ground on which the theory's identities are exact."""

import numpy as np


def unit_views(seed: int, num_views: int, num_images: int, dim: int, spread: float = 0.5) -> np.ndarray:
    """Unit-norm views [M, N, d] scattered about one centre an image."""
    rng = np.random.default_rng(seed)
    views = rng.normal(size=(1, num_images, dim)) + spread * rng.normal(size=(num_views, num_images, dim))
    return views / np.linalg.norm(views, axis=-1, keepdims=True)
