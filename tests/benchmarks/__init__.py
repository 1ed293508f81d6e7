"""Times, memory and digits, apart from the tests: a busy machine must not fail a test. Run with `make bench`."""
