"""The libvirt XML of a guest."""

from dataclasses import dataclass, fields
from pathlib import Path
from xml.sax.saxutils import escape

from tests.lab.image import GuestImage

DOMAIN = """
<domain type="qemu">
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <metadata>{annotation}</metadata>
  <memory unit="MiB">{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch="x86_64" machine="pc">hvm</type>
    {boot}
  </os>
  <features><acpi/></features>
  <cpu mode="maximum"/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {interfaces}
    <serial type="file"><source path="{console}" append="on"/></serial>
    <memballoon model="none"/>
  </devices>
</domain>
"""

# Without its boot ROM a guest is ready a second earlier.
INTERFACE = """<interface type="{kind}">
      <mac address="{mac}"/>
      <source {where}/>
      <model type="virtio"/>
      <rom enabled="no"/>
    </interface>"""

QUICK = (
    "nokaslr",
    "mitigations=off",
    "cryptomgr.notests",
    "initcall_blacklist=init_kprobe_trace,crypto_kdf108_init,load_system_certificate_list",
)
"""With these an emulated processor boots faster; what guests do here does not depend on them."""

KERNEL = """<kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>{command_line}</cmdline>"""


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of a guest. ``kind`` is what libvirt calls it: "network", "bridge", or
    "direct", which is macvtap on the device ``source``.
    """

    mac: str
    source: str = "default"
    kind: str = "network"

    def xml(self) -> str:
        """Its element."""
        name = "dev" if self.kind == "direct" else self.kind
        mode = ' mode="bridge"' if self.kind == "direct" else ""
        where = f'{name}="{self.source}"{mode}'
        return INTERFACE.format(kind=self.kind, mac=self.mac, where=where)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a guest's own system is told: see guest/init.

    ``address`` is "dhcp" or ADDRESS/PREFIX, then with ``gateway``; without ``address6`` it takes
    what a router advertises; ``second_address`` is its second interface's.
    """

    address: str = "dhcp"
    gateway: str = ""
    address6: str = ""
    gateway6: str = ""
    second_address: str = ""
    ports: str = ""

    def words(self, name: str) -> list[str]:
        """For the kernel's command line."""
        words = {"name": name, **{field.name: getattr(self, field.name) for field in fields(self)}}
        return [f"zh.{word}={value}" for word, value in words.items() if value]


@dataclass(frozen=True, slots=True)
class Domain:
    """A guest's definition. It boots ``image``, or with ``firmware`` that and nothing else."""

    name: str
    uuid: str
    interfaces: tuple[Interface, ...]
    console: Path
    image: GuestImage | None = None
    firmware: Path | None = None
    annotation: str = ""
    setup: Setup = Setup()

    @property
    def mac(self) -> str:
        """Of its first interface."""
        return self.interfaces[0].mac

    def xml(self) -> str:
        """What `virsh define` takes."""
        return DOMAIN.format(
            name=escape(self.name),
            uuid=self.uuid,
            annotation=self.annotation,
            memory=128 if self.image else 16,
            boot=self._boot(),
            interfaces="\n    ".join(one.xml() for one in self.interfaces),
            console=self.console,
        )

    def _boot(self) -> str:
        if self.image is None:
            return f'<loader readonly="yes" type="rom">{self.firmware}</loader>'
        words = ["console=ttyS0", "panic=1", "quiet", *QUICK, *self.setup.words(self.name)]
        return KERNEL.format(
            kernel=self.image.kernel,
            initrd=self.image.initrd,
            command_line=escape(" ".join(words)),
        )


def annotation(public: str, *children: str, **attributes: str) -> str:
    """An annotation for one address, as publish(address(...))."""
    return publish(address(public, *children, **attributes))


def publish(*addresses: str) -> str:
    """An annotation of several address()es."""
    return f'<zthook:publish xmlns:zthook="urn:zthook:1">{"".join(addresses)}</zthook:publish>'


def address(public: str, *children: str, **attributes: str) -> str:
    """One address; ``attributes`` as design has them, such as client="hide"; a child is a port
    ("tcp/80", "tcp/80:8080", "udp/27000-27003") or a prefix that is allowed.
    """
    words = "".join(f' {name}="{value}"' for name, value in attributes.items())
    inside = "".join(_child(child) for child in children)
    return f'<zthook:address public="{public}"{words}>{inside}</zthook:address>'


def _child(text: str) -> str:
    protocol, _, ports = text.partition("/")
    if protocol not in {"tcp", "udp"}:
        return f'<zthook:allow source="{text}"/>'
    listen, _, target = ports.partition(":")
    to = f' target="{target}"' if target else ""
    return f'<zthook:port protocol="{protocol}" listen="{listen}"{to}/>'
