"""Follows a packet through the edge's rules without a kernel: where it ends, or who drops it.

The rules are read as they are rendered, with the elements that mappings have. Whatever is
written in them and not understood here is an error, never a guess.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from zthook.kernel.edge.chains.layout import chains
from zthook.kernel.edge.ground import (
    BEFORE_LOCAL,
    Surroundings,
    beside_main,
    routes_of,
    rules_of,
)
from zthook.kernel.edge.plan import wanted_elements
from zthook.kernel.edge.sets import MAPS, Elements
from zthook.kernel.edge.shaping import shape_of
from zthook.kernel.edge.static import static_elements
from zthook.kernel.routes import MAIN_TABLE
from zthook.model.addresses import IPAddress
from zthook.model.mappings import EdgePlane
from zthook.model.publication import Mode

PORTED = frozenset({"tcp", "udp"})
CHECKED_AFTER_NAT = ("prerouting", "output")


@dataclass(frozen=True)
class Packet:
    """``device`` is where it came in, "" where the edge sends it itself. ``about`` is the packet
    that an ICMP error reports.
    """

    source: str
    destination: str
    protocol: str = "tcp"
    source_port: int = 40000
    port: int = 80
    device: str = "eth0"
    mac: str = "02:00:00:00:00:99"
    flags: frozenset[str] = frozenset({"syn"})
    kind: str = ""
    about: "Packet | None" = None

    @property
    def version(self) -> int:
        return ip_address(self.source).version

    @property
    def ends(self) -> tuple[str, int, str, int, str]:
        ports = (self.source_port, self.port) if self.protocol in PORTED else (0, 0)
        return self.source, ports[0], self.destination, ports[1], self.protocol

    def answer(self, **changed: object) -> "Packet":
        """What goes back for it."""
        back = replace(
            self,
            source=self.destination,
            source_port=self.port,
            destination=self.source,
            port=self.source_port,
            flags=frozenset({"syn", "ack"}),
        )
        return replace(back, **changed)  # type: ignore[arg-type]


@dataclass
class Connection:
    """As conntrack has it: the first packet's ends, and those of its answers."""

    original: Packet
    reply: Packet
    translated: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Verdict:
    """Where a packet ends: dropped by a rule, at the edge itself, or sent out of a device."""

    packet: Packet
    dropped: str = ""
    device: str = ""
    via: str = ""

    def __str__(self) -> str:
        if self.dropped:
            return f"dropped: {self.dropped}"
        one = self.packet
        port = f":{one.port}" if one.protocol in PORTED else ""
        to = f"[{one.destination}]{port}" if one.version == 6 else f"{one.destination}{port}"
        if not self.device:
            return f"{to} of the edge, from {one.source}"
        return f"{to} by {self.via or self.device}, from {one.source}"


class Dropped(Exception):
    """A rule drops it; says which."""


class Tracer:
    """One edge with its mappings, and what it remembers of connections."""

    def __init__(self, plane: EdgePlane, around: Surroundings) -> None:
        self._around = around
        static = static_elements(plane, around, {})
        shape = shape_of(plane, around.ways, static)
        self.chains = {one.name: one for one in chains(shape)}
        self.sets: Elements = {**static, **wanted_elements(plane.forwardings, around)}
        routed = {one.arrives_as for one in plane.forwardings if one.mode is Mode.ROUTED}
        routes, rules = beside_main({one.arrives_as.version for one in plane.forwardings}, around)
        self._rules = sorted(rules_of(routed, around) | rules)
        self._routes = routes_of(plane.forwardings, around) | routes
        self.connections: list[Connection] = []

    def send(self, packet: Packet) -> Verdict:
        """Follow it from where it comes in to where it ends."""
        try:
            return _Journey(self, packet).whole()
        except Dropped as drop:
            return Verdict(packet, dropped=str(drop))

    def way(self, destination: str, mark: int = 0) -> tuple[str, str]:
        """Device and next hop; no device: the edge itself."""
        to = ip_address(destination)
        asked = [
            (one.table, one.longer_than)
            for one in self._rules
            if one.version == to.version and mark & one.mask == one.mark
        ]
        first = [one for one in asked if one[0] == BEFORE_LOCAL]
        for table, shorter in (*first, (None, None), *asked, (MAIN_TABLE, None)):
            if table is None and to in self._around.own:
                return "", ""
            found = self._longest(to, table) if table else None
            if found is not None and (shorter is None or found[0] > shorter):
                return found[1:]
        return "eth0", ""

    def _longest(self, to: IPAddress, table: int) -> tuple[int, str, str] | None:
        """Length of the prefix, device and next hop."""
        names = {index: name for name, index in self._around.indexes.items()}
        found = [
            (route.destination.prefixlen, names[route.device or 0], str(route.via or ""))
            for route in self._routes
            if route.table == table and to in route.destination
        ]
        if table == MAIN_TABLE:
            found += [
                (prefix.prefixlen, device, "")
                for device, prefixes in self._around.on_link.items()
                for prefix in prefixes
                if to in prefix
            ]
        return max(found, default=None)

    def is_own(self, address: str) -> bool:
        return ip_address(address) in self._around.own

    def find(self, packet: Packet) -> tuple[Connection, str] | None:
        """The connection that it belongs to, and in which direction."""
        if packet.about is not None:
            return self.find(packet.about.answer())  # an error goes where answers to that go
        for one in self.connections:
            if packet.ends == one.original.ends:
                return one, "original"
            if packet.ends == one.reply.ends:
                return one, "reply"
        return None


class _Journey:
    """One packet on its way through the hooks."""

    def __init__(self, tracer: Tracer, packet: Packet) -> None:
        self.tracer, self.packet = tracer, packet
        self.connection: Connection | None = None
        self.direction = ""
        self.is_new = self.untracked = False
        self.mark = 0
        self.out = ""

    def whole(self) -> Verdict:
        if not self.packet.device:
            return self._from_the_edge()
        self._hook("filter hook prerouting priority raw")
        self._track()
        self._hook("filter hook prerouting priority mangle")
        if self.is_new:
            self._hook("nat hook prerouting")
        self._rewrite_destination()
        self.out, via = self.tracer.way(self.packet.destination, self.mark)
        if not self.out:
            self._hook("filter hook input")
            self._confirm()
            return Verdict(self.packet)
        self._hook("filter hook forward")
        return self._leave(via)

    def _from_the_edge(self) -> Verdict:
        self.out, _ = self.tracer.way(self.packet.destination)
        self._track()
        if self.is_new:
            self._hook("nat hook output")
        self._rewrite_destination()
        self.out, via = self.tracer.way(self.packet.destination)
        self._hook("filter hook output")
        return self._leave(via)

    def _leave(self, via: str) -> Verdict:
        if self.is_new:
            self._hook("nat hook postrouting")
        self._rewrite_source()
        self._confirm()
        return Verdict(self.packet, device=self.out, via=via)

    def _track(self) -> None:
        if self.untracked:
            return
        found = self.tracer.find(self.packet)
        if found is not None:
            self.connection, self.direction = found
        elif self.packet.about is None:
            self.is_new, self.direction = True, "original"
            self.connection = Connection(self.packet, self.packet.answer())

    def _confirm(self) -> None:
        if self.is_new and self.connection is not None:
            self.tracer.connections.append(self.connection)

    def _rewrite_destination(self) -> None:
        one = self.connection
        if one is None:
            return
        if self.direction == "original":
            to, port = one.reply.source, one.reply.source_port
        else:
            to, port = one.original.source, one.original.source_port
        self.packet = replace(self.packet, destination=to)
        if self.packet.about is None:
            self.packet = replace(self.packet, port=port)

    def _rewrite_source(self) -> None:
        one = self.connection
        if one is None:
            return
        how = "snat" if self.direction == "original" else "dnat"
        if self.packet.about is not None and how not in one.translated:
            return  # a router's own address, where no other has to look like its connection's
        if self.direction == "original":
            by, port = one.reply.destination, one.reply.port
        else:
            by, port = one.original.destination, one.original.port
        self.packet = replace(self.packet, source=by)
        if self.packet.about is None:
            self.packet = replace(self.packet, source_port=port)

    def _hook(self, hook: str) -> None:
        for chain in self.tracer.chains.values():
            if chain.hook.startswith(hook):
                self._chain(chain.name)

    def _chain(self, name: str) -> bool:
        """Whether the walk of its base chain ends here; raises Dropped."""
        for rule, why in self.tracer.chains[name].rules:
            match self._rule(rule):
                case "drop":
                    raise Dropped(f"{name}: {why}")
                case "accept":
                    return True
                case "return":
                    return False
                case ["goto", chain]:
                    return self._chain(chain)
                case ["jump", chain] if self._chain(chain):
                    return True
        return False

    def _rule(self, rule: str) -> "str | list[str]":
        """The rule's verdict, "" where it says none or does not match."""
        words = _words(rule)
        while words:
            verdict = self._statement(words)
            if verdict is not None:
                return verdict
        return ""

    def _statement(self, words: list[str]) -> "str | list[str] | None":
        """Take the next statement off ``words``; None: go on with the rule."""
        match words:
            case ["accept" | "drop" | "return" as verdict, *_]:
                words.clear()
                return verdict
            case ["goto" | "jump" as how, chain, *_]:
                words.clear()
                return [how, chain]
            case ["dnat" | "snat" as what, "ip" | "ip6" as ip, "to", *_]:
                del words[:3]
                return self._translate(what, ip, words)
            case ["ip" | "ip6", "saddr", "set", *_]:
                del words[:3]
                found = self._mapped(words)
                if found is None:
                    return ""
                self.packet = replace(self.packet, source=found)
                return None
            case ["tcp", "option", *_] | ["ct", "timeout", *_]:
                # No packet ends elsewhere for its segments' size, or for how long its connection
                # is remembered.
                words.clear()
                return ""
            case _:
                return None if self._noted(words) or self._matches(words) else ""

    def _noted(self, words: list[str]) -> bool:
        """Whether it notes something of the packet, which goes on."""
        match words:
            case ["notrack", *_]:
                del words[0]
                self.untracked, self.connection = True, None
                return True
            case ["meta", "mark", "set", "meta", "mark", *_]:
                self._mark(words)
                return True
        return False

    def _mark(self, words: list[str]) -> None:
        """``& A | B`` or ``| B``."""
        del words[:5]
        while words and words[0] in ("&", "|"):
            how, number = words[0], int(words[1], 16)
            self.mark = self.mark & number if how == "&" else self.mark | number
            del words[:2]

    def _translate(self, what: str, ip: str, words: list[str]) -> "str | None":
        found = self._mapped(words)
        if found is None or (ip == "ip6") != (self.packet.version == 6):
            return ""
        assert self.connection is not None
        assert self.is_new
        address, _, port = found.partition(" . ")
        reply = self.connection.reply
        if what == "dnat":
            to = int(port) if port else reply.source_port
            reply = replace(reply, source=address, source_port=to)
            self.connection.translated.add("dnat")
        else:
            reply = replace(reply, destination=address)
            self.connection.translated.add("snat")
        self.connection.reply = reply
        return "accept"

    def _mapped(self, words: list[str]) -> str | None:
        key = self._fields(words)
        assert words[0] == "map"
        found = self._looked_up(words[1].removeprefix("@"), key)
        del words[:2]
        return found

    def _matches(self, words: list[str]) -> bool:
        if words[0] == "update":
            return False  # one packet is no flood
        if words[:2] == ["tcp", "flags"]:
            return self._flags(words)
        fields = self._fields(words)
        negated = words[0] == "!="
        if negated:
            del words[0]
        if words[0] == "vmap":
            found = self._looked_up(words[1].removeprefix("@"), fields)
            del words[:2]
            words[:] = found.split() if found else []
            return found is not None
        wanted = words.pop(0)
        if None in fields:
            return False
        if wanted.startswith("@"):
            return (self._looked_up(wanted.removeprefix("@"), fields) is None) == negated
        options = wanted.strip("{} ").split(", ") if wanted.startswith("{") else [wanted]
        return (fields[0] in {one.strip('"') for one in options}) != negated

    def _flags(self, words: list[str]) -> bool:
        """``tcp flags & (a | b) == c`` or ``!=``."""
        looked_at = set(re.findall(r"\w+", words[3]))
        equal, wanted = words[4] == "==", {words[5]}
        del words[:6]
        if self.packet.protocol != "tcp":
            return False
        return (self.packet.flags & looked_at == wanted) == equal

    def _fields(self, words: list[str]) -> list[str | None]:
        found = [self._field(words)]
        while words and words[0] == ".":
            del words[0]
            found.append(self._field(words))
        return found

    def _field(self, words: list[str]) -> str | None:
        for length in (4, 3, 2, 1):
            name = " ".join(words[:length])
            if name in self._values:
                del words[:length]
                return self._values[name]
        raise AssertionError(f"not understood: {' '.join(words)}")

    @property
    def _values(self) -> Mapping[str, str | None]:
        one, six = self.packet, self.packet.version == 6
        ported = one.protocol in PORTED
        values: dict[str, str | None] = {
            "iifname": one.device,
            "oifname": self.out,
            "ether saddr": one.mac,
            "meta nfproto": "ipv6" if six else "ipv4",
            "meta l4proto": one.protocol,
            "th sport": str(one.source_port) if ported else None,
            "th dport": str(one.port) if ported else None,
            "tcp dport": str(one.port) if one.protocol == "tcp" else None,
            "icmp type": (one.kind or "echo-request") if one.protocol == "icmp" else None,
            "icmpv6 type": (one.kind or "echo-request") if one.protocol == "icmpv6" else None,
            "fib saddr type": "local" if self.tracer.is_own(one.source) else "unicast",
            "fib saddr oifname": self.tracer.way(one.source)[0],
        }
        for ip, fits in (("ip", not six), ("ip6", six)):
            values[f"{ip} saddr"] = one.source if fits else None
            values[f"{ip} daddr"] = one.destination if fits else None
            values |= self._of_connection(ip, fits=fits)
        return values

    def _of_connection(self, ip: str, *, fits: bool) -> dict[str, str | None]:
        one = self.connection
        if one is None or self.untracked:
            state = {"ct state": "untracked" if self.untracked else "invalid"}
            names = ("ct direction", "ct status", *_tuple_names(ip))
            return state | dict.fromkeys(names)
        state = "related" if self.packet.about else "new" if self.is_new else "established"
        values: dict[str, str | None] = {
            "ct direction": self.direction,
            "ct state": state,
            "ct status": "dnat" if "dnat" in one.translated else "none",
        }
        ends = (one.original.source, one.original.destination)
        ends += (one.reply.source, one.reply.destination)
        found = dict(zip(_tuple_names(ip), ends, strict=True))
        return values | {name: value if fits else None for name, value in found.items()}

    def _looked_up(self, name: str, key: Sequence[str | None]) -> str | None:
        """A map's value; of a set "" where the key is in it; None where it is not."""
        if None in key:
            return None
        for element in self.tracer.sets.get(name, ()):
            parts, _, value = element.partition(" : ") if name in MAPS else (element, "", "")
            if all(_fits(str(k), p) for k, p in zip(key, parts.split(" . "), strict=True)):
                return value
        return None


def _tuple_names(ip: str) -> tuple[str, ...]:
    return tuple(f"ct {way} {ip} {end}" for way in ("original", "reply") for end in ENDS)


ENDS = ("saddr", "daddr")


def _fits(value: str, part: str) -> bool:
    part = part.strip('"')
    if value == part:
        return True
    if "/" in part:
        return ip_address(value) in ip_network(part)
    low, dash, high = part.partition("-")
    if not dash or part.startswith("zt"):
        return False
    if value.isdigit():
        return int(low) <= int(value) <= int(high)
    return _is_address(low) and _between(value, low, high)


def _is_address(text: str) -> bool:
    return "." in text or ":" in text


def _between(value: str, low: str, high: str) -> bool:
    one, first, last = (ip_address(text) for text in (value, low, high))
    return one.version == first.version and int(first) <= int(one) <= int(last)


def _words(rule: str) -> list[str]:
    """Words, with what is in braces or brackets as one."""
    return list(_grouped(rule))


def _grouped(rule: str) -> Iterator[str]:
    for found in re.finditer(r"\{[^}]*\}|\([^)]*\)|\S+", rule):
        yield found[0]


def each(tracer: Tracer, packets: Iterable[Packet]) -> list[str]:
    """Where each ends, in words."""
    return [str(tracer.send(one)) for one in packets]
