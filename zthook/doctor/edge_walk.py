"""An edge's checks, in the order in which what decides over a packet, and it itself, meet them."""

from zthook.doctor.edge import (
    api,
    arrival,
    configuration,
    daemon,
    firewalls,
    hosts,
    kernel,
    neighbours,
    overlay,
    pools,
    redial,
    settings,
    store,
)
from zthook.doctor.finding import Check

EDGE = (
    Check("configuration", configuration.check),
    Check("overlay", overlay.check, ("configuration",)),
    Check("store", store.check, ("configuration",)),
    Check("daemon", daemon.check, ("configuration",), late=daemon.LATE),
    Check("API", api.check, ("overlay", "daemon")),
    Check("hosts", hosts.check, ("daemon",)),
    Check("redial", redial.check, ("overlay", "daemon")),
    Check("neighbours", neighbours.check, ("overlay", "daemon")),
    Check("pools", pools.check, ("configuration",)),
    Check("settings", settings.check, ("store", "overlay"), 20.0),
    Check("kernel", kernel.check, ("store", "overlay"), 20.0),
    Check("firewalls", firewalls.check, ("store", "overlay"), 30.0),
    Check("arrival", arrival.check, ("store", "overlay", "pools"), 20.0),
)
