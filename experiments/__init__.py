"""Small self-supervised runs on real images; run from the clone, not part of the wheel."""
