"""Firewalls that stand on hosts and edges beside libvirt's, as their makers set them up.

Each is loaded into a network namespace and dropped again by its text; a restart of the maker
loads it once more.
"""

from dataclasses import dataclass

from tests.lab.commands import run


def six_firewall(load: str) -> str:
    """What the same maker loads for IPv6."""
    words = {
        "iptables": "ip6tables",
        "icmp-host-prohibited": "icmp6-adm-prohibited",
        "table ip docker": "table ip6 docker",
    }
    for four, six in words.items():
        load = load.replace(four, six)
    return load


@dataclass(frozen=True, slots=True)
class Firewall:
    """``load`` is a shell script that sets it up, also over what is left of itself."""

    name: str
    load: str

    def start(self, space: str, version: int = 4) -> None:
        """As its maker does at each start, in the network namespace of that name."""
        load = self.load if version == 4 else six_firewall(self.load)
        run(["ip", "netns", "exec", space, "bash", "-euo", "pipefail", "-c", load])

    def __str__(self) -> str:
        return self.name


def iptables(*lines: str, command: str = "iptables-nft") -> str:
    """A script that feeds the filter table to iptables-restore, beside what is there."""
    text = "\n".join(["*filter", *lines, "COMMIT"])
    return f"{command}-restore --noflush <<'END'\n{text}\nEND\n"


# Docker deletes its jumps and puts them back at the top each time it starts or makes a network;
# what is in DOCKER-USER it leaves alone.
DOCKER_20 = """
iptables-nft -P FORWARD DROP
for chain in DOCKER DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2 DOCKER-USER; do
    iptables-nft -N $chain 2>/dev/null || [ $chain = DOCKER-USER ] || iptables-nft -F $chain
done
again() { while iptables-nft -D "$@" 2>/dev/null; do :; done; iptables-nft -I "$@"; }
again FORWARD -i docker0 -o docker0 -j ACCEPT
again FORWARD -i docker0 ! -o docker0 -j ACCEPT
again FORWARD -o docker0 -j DOCKER
again FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
again FORWARD -j DOCKER-ISOLATION-STAGE-1
iptables-nft -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
iptables-nft -A DOCKER-ISOLATION-STAGE-1 -j RETURN
iptables-nft -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
iptables-nft -A DOCKER-ISOLATION-STAGE-2 -j RETURN
iptables-nft -C DOCKER-USER -j RETURN 2>/dev/null || iptables-nft -A DOCKER-USER -j RETURN
again FORWARD -j DOCKER-USER
"""

DOCKER_28 = """
iptables-nft -P FORWARD DROP
for chain in DOCKER DOCKER-BRIDGE DOCKER-CT DOCKER-FORWARD DOCKER-INTERNAL DOCKER-USER; do
    iptables-nft -N $chain 2>/dev/null || [ $chain = DOCKER-USER ] || iptables-nft -F $chain
done
again() { while iptables-nft -D "$@" 2>/dev/null; do :; done; iptables-nft -I "$@"; }
iptables-nft -A DOCKER ! -i docker0 -o docker0 -j DROP
iptables-nft -A DOCKER-BRIDGE -o docker0 -j DOCKER
iptables-nft -A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables-nft -A DOCKER-FORWARD -j DOCKER-CT
iptables-nft -A DOCKER-FORWARD -j DOCKER-INTERNAL
iptables-nft -A DOCKER-FORWARD -j DOCKER-BRIDGE
iptables-nft -A DOCKER-FORWARD -i docker0 -j ACCEPT
again FORWARD -j DOCKER-FORWARD
again FORWARD -j DOCKER-USER
"""

DOCKER_NFTABLES = """
nft -f - <<'END'
add table ip docker-bridges
delete table ip docker-bridges
table ip docker-bridges {
    map filter-forward-in-jumps {
        type ifname : verdict
        elements = { "docker0" : jump filter-forward-in__docker0 }
    }
    map filter-forward-out-jumps {
        type ifname : verdict
        elements = { "docker0" : jump filter-forward-out__docker0 }
    }
    chain filter-FORWARD {
        type filter hook forward priority filter; policy drop;
        oifname vmap @filter-forward-in-jumps
        iifname vmap @filter-forward-out-jumps
    }
    chain filter-forward-in__docker0 {
        ct state established,related counter accept
        iifname "docker0" counter accept
        counter drop
    }
    chain filter-forward-out__docker0 {
        ct state established,related counter accept
        counter accept
    }
}
END
"""

BY_HAND = """
nft -f - <<'END'
add table inet filter
delete table inet filter
table inet filter {
    set banned {
        type ipv4_addr
        elements = { 192.0.2.99 }
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
        ip saddr @banned drop
        ct state established,related accept
        ct state invalid drop
        iifname "virbr0" accept
        reject with icmpx admin-prohibited
    }
}
END
"""

DOCKERS = (Firewall("Docker 20.10", DOCKER_20), Firewall("Docker 28", DOCKER_28))
FIREWALLS = (
    *DOCKERS,
    Firewall("Docker 29 with nftables", DOCKER_NFTABLES),
    Firewall("a policy by hand", "iptables-nft -P FORWARD DROP"),
    Firewall("legacy iptables", "iptables-legacy -P FORWARD DROP; iptables-legacy -F FORWARD"),
    Firewall(
        "a reject at the end",
        iptables(
            "-F FORWARD",
            "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-A FORWARD -p tcp -j REJECT --reject-with tcp-reset",
            "-A FORWARD -j REJECT --reject-with icmp-host-prohibited",
        ),
    ),
    Firewall("nftables.conf", BY_HAND),
)
OF_IPV6 = tuple(
    one for one in FIREWALLS if one.name in {"Docker 28", "legacy iptables", "nftables.conf"}
)
"""One of each kind: the rest of it is the same for both versions of IP."""
