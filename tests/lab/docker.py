"""What Docker makes of a machine's firewall, without Docker."""

from tests.lab.machine import Machine

# iptables-save of Docker 20.10 (Debian 12) with its one network, and no container.
DOCKER = """
*filter
:INPUT ACCEPT
:FORWARD DROP
:OUTPUT ACCEPT
:DOCKER -
:DOCKER-ISOLATION-STAGE-1 -
:DOCKER-ISOLATION-STAGE-2 -
:DOCKER-USER -
-I FORWARD 1 -j DOCKER-USER
-I FORWARD 2 -j DOCKER-ISOLATION-STAGE-1
-I FORWARD 3 -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-I FORWARD 4 -o docker0 -j DOCKER
-I FORWARD 5 -i docker0 ! -o docker0 -j ACCEPT
-I FORWARD 6 -i docker0 -o docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT
:INPUT ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
COMMIT
"""


def start_docker(machine: Machine) -> None:
    """As the start of dockerd: its bridge, its chains before what is there, FORWARD's policy.

    Like Docker it turns forwarding on.
    """
    machine.ip(
        "link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0", "link set docker0 up"
    )
    machine.namespace.sysctl(ipv4__ip_forward=1)
    machine.run("iptables-restore", "--noflush", stdin=DOCKER)


def stop_docker(machine: Machine) -> None:
    """Take it away again, FORWARD's policy too (which Docker itself would leave)."""
    for table in ("filter", "nat"):
        saved = machine.run("iptables-save", "-t", table).stdout.splitlines()
        kept = [line for line in saved if "DOCKER" not in line and "docker0" not in line]
        text = "\n".join(kept).replace(":FORWARD DROP", ":FORWARD ACCEPT")
        machine.run("iptables-restore", "-T", table, stdin=f"{text}\n")
    machine.ip("link del docker0")
