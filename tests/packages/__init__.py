"""Debian's packages of zthook: built, installed and purged in roots of Debian."""
