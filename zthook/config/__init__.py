"""The two configuration files and where everything lies."""

from zthook.config.loading import load_edge, load_host, parse_edge, parse_host
from zthook.config.places import Places
from zthook.config.settings import EdgeSettings, HostSettings, OverlaySettings
from zthook.config.writing import add_pool, remove_pool, write_edge, write_host

__all__ = [
    "EdgeSettings",
    "HostSettings",
    "OverlaySettings",
    "Places",
    "add_pool",
    "load_edge",
    "load_host",
    "parse_edge",
    "parse_host",
    "remove_pool",
    "write_edge",
    "write_host",
]
