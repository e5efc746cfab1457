"""Libvirt: which guests run, what changes, where their addresses can be read.

libvirt is imported in this package only, and by ``libvirt_hypervisor`` and ``definitions``
only when those are: an edge has none.
"""
