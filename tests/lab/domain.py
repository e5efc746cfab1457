"""The libvirt XML of a guest."""

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from tests.lab.image import GuestImage

DOMAIN = """
<domain type="qemu">
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <metadata>{annotation}</metadata>
  <memory unit="MiB">128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch="x86_64" machine="pc">hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>{command_line}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode="maximum"/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {interface}
    <serial type="file"><source path="{console}" append="on"/></serial>
    <memballoon model="none"/>
  </devices>
</domain>
"""

# Without its boot ROM a guest is ready a second earlier.
INTERFACE = """<interface type="{kind}">
      <mac address="{mac}"/>
      <source {kind}="{source}"/>
      <model type="virtio"/>
      <rom enabled="no"/>
    </interface>"""


@dataclass(frozen=True, slots=True)
class Domain:
    """A guest's definition. ``address`` is "dhcp" or ADDRESS/PREFIX, then with ``gateway``."""

    name: str
    uuid: str
    mac: str
    image: GuestImage
    console: Path
    annotation: str = ""
    network: str = "default"
    bridge: str = ""
    address: str = "dhcp"
    gateway: str = ""

    def xml(self) -> str:
        """What `virsh define` takes."""
        return DOMAIN.format(
            name=escape(self.name),
            uuid=self.uuid,
            annotation=self.annotation,
            kernel=self.image.kernel,
            initrd=self.image.initrd,
            command_line=self._command_line(),
            interface=INTERFACE.format(
                kind="bridge" if self.bridge else "network",
                source=self.bridge or self.network,
                mac=self.mac,
            ),
            console=self.console,
        )

    def _command_line(self) -> str:
        words = ["console=ttyS0", "panic=1", "quiet", f"zh.name={self.name}"]
        words.append(f"zh.address={self.address}")
        if self.gateway:
            words.append(f"zh.gateway={self.gateway}")
        return escape(" ".join(words))


def annotation(public: str, **attributes: str) -> str:
    """An annotation for one address; ``attributes`` as design has them, such as client="hide"."""
    words = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return (
        '<zthook:publish xmlns:zthook="urn:zthook:1">'
        f'<zthook:address public="{public}"{words}/></zthook:publish>'
    )
