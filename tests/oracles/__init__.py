"""Plain-NumPy float64 references, written from the formulas alone and read by the tests."""
