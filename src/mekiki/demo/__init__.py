"""A small camera-trap world drawn from a seed, with its truth: the fixture of the tests and of ``mekiki demo``."""
