"""The host that is looked at: what several checks need, each looked for once."""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, ip_address

import msgspec

from zthook.config.loading import load_host
from zthook.config.places import Places
from zthook.config.settings import HostSettings
from zthook.doctor.host.asking import Asked
from zthook.doctor.host.asking import ask as ask_edge
from zthook.doctor.host.pinging import echoed
from zthook.errors import DaemonUnreachable
from zthook.host.credential import Credential, load_credential
from zthook.host.status import AgentStatus, MappingView
from zthook.kernel.host.inspecting import HostTable, host_table
from zthook.kernel.links import find_device
from zthook.kernel.near import device_toward
from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain
from zthook.model.mappings import MappingState, OverlayDevice
from zthook.wire.control import ask

NOTHING = "no guest's address is active, so nothing is needed of it yet"
NO_MEMBER = "this host is behind a LAN gateway, so nothing of ours is in its kernel"
AGENT_SECONDS = 3.0


@dataclass
class HostCase:
    """``guest`` is the name or UUID that is asked about, "" for none; ``live`` that guest as it
    runs, once it was found.
    """

    places: Places
    guest: str = ""
    live: Domain | None = field(default=None)

    @cached_property
    def settings(self) -> HostSettings:
        """Raises NotEnrolled, ConfigError."""
        return load_host(self.places.host_config)

    @cached_property
    def credential(self) -> Credential:
        """Raises NotEnrolled, ConfigError."""
        return load_credential(self.places.credential)

    @property
    def edge(self) -> IPv4Address:
        """The edge's address on the overlay."""
        return IPv4Address(self.credential.address)

    @cached_property
    def heard(self) -> AgentStatus | DaemonUnreachable:
        """What the agent says, or why it says nothing."""
        try:
            said = ask(self.places.agent_socket, "status", deadline=AGENT_SECONDS)
        except DaemonUnreachable as error:
            return error
        return msgspec.convert(said, AgentStatus)

    @property
    def agent(self) -> AgentStatus | None:
        """The same, None where it does not answer."""
        return self.heard if isinstance(self.heard, AgentStatus) else None

    @cached_property
    def asked(self) -> Asked:
        """What the edge says to anybody."""
        return ask_edge(self.credential)

    @cached_property
    def pinged(self) -> bool:
        """Whether the edge answers pings."""
        return asyncio.run(echoed(self.edge))

    @cached_property
    def table(self) -> HostTable:
        """Our table as the kernel has it. Raises KernelError."""
        return host_table(self.settings.mark)

    @cached_property
    def device(self) -> OverlayDevice | None:
        """The device by which the edge is reached now, whichever it is. Raises KernelError."""
        name = device_toward(self.edge)
        return find_device(name) if name else None

    @property
    def rows(self) -> list[MappingView]:
        """The mappings of the guest that is asked about, of all guests without one."""
        rows = self.agent.mappings if self.agent else []
        return [one for one in rows if self.guest in ("", one.guest, one.uuid)]

    @property
    def mapped(self) -> frozenset[IPAddress]:
        """The private addresses that the kernel has to carry: as the agent says, or has said."""
        if self.agent is None:
            return self.table.guests
        return frozenset(
            ip_address(one.private)
            for one in self.agent.mappings
            if one.state is MappingState.ACTIVE and one.private
        )

    @property
    def families(self) -> set[int]:
        """Of these addresses."""
        return {one.version for one in self.mapped}
