"""The checks of a host, one a file: each has a pure ``judge``, and ``check``, which looks."""
