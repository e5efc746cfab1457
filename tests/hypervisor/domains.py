"""XML of small guests, and waiting for what a libvirt does."""

import asyncio
import time
from collections.abc import Awaitable, Callable

ANNOTATION = '<zthook:publish xmlns:zthook="urn:zthook:1">{}</zthook:publish>'
DOMAIN = """
<domain type='{type}'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <metadata>{annotation}</metadata>
  <memory unit='MiB'>{memory}</memory>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <interface type='network'>
      <mac address='{mac}'/>
      <source network='default'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def annotation(public: str, attributes: str = "") -> str:
    return ANNOTATION.format(f'<zthook:address public="{public}" {attributes}/>')


def domain_xml(
    name: str, uuid: str, *, kind: str = "test", publish: str = "", memory: int = 16
) -> str:
    """A guest without a disk, which starts in no time and does nothing."""
    return DOMAIN.format(
        type=kind,
        name=name,
        uuid=uuid,
        annotation=publish,
        memory=memory,
        mac="52:54:00:aa:00:" + uuid[-2:],
    )


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 20) -> None:
    """Return once the condition holds; fail the test after ``seconds``."""
    end = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.01)
