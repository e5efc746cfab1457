"""zthook: floating public addresses for KVM guests behind a home line."""

__version__ = "0.1.0"
