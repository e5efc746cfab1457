"""The iptables rules that libvirt 9.0 makes, chain for chain, for its networks."""

NAT = ("virbr0", "192.168.122.0/24")
ISOLATED = "virbr1"


def networks() -> str:
    """For ``iptables-restore --noflush``: a NAT network and an isolated one."""
    bridge, prefix = NAT
    lines = [
        "*filter",
        *(f":LIBVIRT_{chain} - [0:0]" for chain in ("INP", "OUT", "FWO", "FWI", "FWX")),
        "-A INPUT -j LIBVIRT_INP",
        "-A FORWARD -j LIBVIRT_FWX",
        "-A FORWARD -j LIBVIRT_FWI",
        "-A FORWARD -j LIBVIRT_FWO",
        "-A OUTPUT -j LIBVIRT_OUT",
        *_services(bridge),
        *_services(ISOLATED),
        *forward_rules(),
        "COMMIT",
        "*nat",
        ":LIBVIRT_PRT - [0:0]",
        "-A POSTROUTING -j LIBVIRT_PRT",
        f"-A LIBVIRT_PRT -s {prefix} -d 224.0.0.0/24 -j RETURN",
        f"-A LIBVIRT_PRT -s {prefix} -d 255.255.255.255/32 -j RETURN",
        f"-A LIBVIRT_PRT -s {prefix} ! -d {prefix} -p tcp -j MASQUERADE --to-ports 1024-65535",
        f"-A LIBVIRT_PRT -s {prefix} ! -d {prefix} -p udp -j MASQUERADE --to-ports 1024-65535",
        f"-A LIBVIRT_PRT -s {prefix} ! -d {prefix} -j MASQUERADE",
        "COMMIT",
        "",
    ]
    return "\n".join(lines)


def _services(bridge: str) -> list[str]:
    ports = ((53, "udp"), (53, "tcp"), (67, "udp"), (67, "tcp"))
    inward = [
        f"-A LIBVIRT_INP -i {bridge} -p {kind} -m {kind} --dport {port} -j ACCEPT"
        for port, kind in ports
    ]
    outward = [
        f"-A LIBVIRT_OUT -o {bridge} -p {kind} -m {kind} --dport {port} -j ACCEPT"
        for port, kind in ((53, "udp"), (53, "tcp"), (68, "udp"), (68, "tcp"))
    ]
    return inward + outward


def forward_rules() -> list[str]:
    """What net-start appends to the three chains of FORWARD."""
    bridge, prefix = NAT
    reject = "-j REJECT --reject-with icmp-port-unreachable"
    return [
        f"-A LIBVIRT_FWI -d {prefix} -o {bridge} -m conntrack"
        " --ctstate RELATED,ESTABLISHED -j ACCEPT",
        f"-A LIBVIRT_FWI -o {bridge} {reject}",
        f"-A LIBVIRT_FWI -o {ISOLATED} {reject}",
        f"-A LIBVIRT_FWO -s {prefix} -i {bridge} -j ACCEPT",
        f"-A LIBVIRT_FWO -i {bridge} {reject}",
        f"-A LIBVIRT_FWO -i {ISOLATED} {reject}",
        f"-A LIBVIRT_FWX -i {bridge} -o {bridge} -j ACCEPT",
        f"-A LIBVIRT_FWX -i {ISOLATED} -o {ISOLATED} -j ACCEPT",
    ]


def rebuild() -> str:
    """What a restart of libvirtd does to the three: flushed, then filled again."""
    flushes = [f"-F LIBVIRT_{chain}" for chain in ("FWI", "FWO", "FWX")]
    return "\n".join(["*filter", *flushes, *forward_rules(), "COMMIT", ""])
