"""Whole machines: Debian with its own kernel and systemd, emulated, on a network of their own."""
