"""The checks of an edge, one a file: each has a pure ``judge``, and ``check``, which looks."""
