"""The hook's wall time, whole process, beside an empty hook and today's iptables script."""

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.measure import Candidate, interleaved, table
from bench.namespace import network_namespace

HOOK = Path(__file__).parents[1] / "hooks" / "qemu"
ANNOTATION = """<metadata><zthook:publish xmlns:zthook="urn:zthook:1">
<zthook:address public="203.0.113.10"/></zthook:publish></metadata>"""
PORTS = 3


def domain_xml(metadata: str) -> bytes:
    """A domain of the size that libvirt really hands to hooks (about 7 kB)."""
    disks = "".join(
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        f"<source file='/var/lib/libvirt/images/web1-{n}.qcow2' index='{n}'/>"
        f"<target dev='vd{n}' bus='virtio'/><alias name='virtio-disk{n}'/></disk>\n"
        for n in range(30)
    )
    return (
        f"<domain type='kvm' id='1'><name>web1</name>"
        f"<uuid>6f1d2c9e-3b07-4c4e-9d7a-0c8f3f1f2a11</uuid>{metadata}<devices>{disks}</devices></domain>"
    ).encode()


def iptables_commands(ports: int) -> list[str]:
    """What one start costs in the scripts of today: seven commands and four a port."""
    once = [
        "iptables -t nat -N DNAT-web1",
        "iptables -t nat -N SNAT-web1",
        "iptables -N FWD-web1",
        "iptables -t nat -A OUTPUT -d 203.0.113.10 -j DNAT-web1",
        "iptables -t nat -A PREROUTING -d 203.0.113.10 -j DNAT-web1",
        "iptables -t nat -A POSTROUTING -s 192.168.122.50 -d 192.168.122.50 -j SNAT-web1",
        "iptables -I FORWARD -d 192.168.122.50 -j FWD-web1",
    ]
    each = [
        f"iptables {command}"
        for port in range(8000, 8000 + ports)
        for command in (
            f"-t nat -A DNAT-web1 -p tcp --dport {port} -j DNAT --to 192.168.122.50:{port}",
            f"-t nat -A SNAT-web1 -p tcp --dport {port} -j MASQUERADE",
            f"-t nat -A SNAT-web1 -p udp --dport {port} -j MASQUERADE",
            f"-A FWD-web1 -p tcp --dport {port} -j ACCEPT",
        )
    ]
    return [*once, *each]


FORGET = "iptables -F; iptables -X; iptables -t nat -F; iptables -t nat -X"


REQUIRED = ANNOTATION.replace('203.0.113.10"', '203.0.113.10" required="yes"')


@contextlib.contextmanager
def answering_agent(path: Path) -> Iterator[threading.Semaphore]:
    """An agent that reads the whole call and allows it; the semaphore rises with each."""
    heard = threading.Semaphore(0)

    def answer(link: socket.socket) -> None:
        with link:
            while link.recv(65536):
                pass
            heard.release()
            with contextlib.suppress(ConnectionError):
                link.sendall(b"0")

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                answer(listener.accept()[0])

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def write_script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


BARE = ("-I", "-S", "-c", "pass")


def ran(*words: str) -> Callable[[], None]:
    """Run a program to its end."""

    def run() -> None:
        _, status = os.waitpid(os.posix_spawn(words[0], words, {}), 0)
        if status:
            raise RuntimeError(f"{words} ended with {status}")

    return run


def spawned(program: Path, xml: Path, operation: str) -> Callable[[], None]:
    """Run a hook the way libvirt does: four arguments, the XML on stdin, a clean environment,
    and what it prints read to its end.
    """
    arguments = [str(program), "web1", operation, "begin", "-"]
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

    def run() -> None:
        told, said = os.pipe()
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, str(xml), os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, said, 1),
            (os.POSIX_SPAWN_DUP2, said, 2),
        ]
        process = os.posix_spawn(program, arguments, environment, file_actions=actions)
        os.close(said)
        while os.read(told, 65536):
            pass
        os.close(told)
        _, status = os.waitpid(process, 0)
        if status:
            raise RuntimeError(f"{program} {operation} ended with {status}")

    return run


def until(heard: threading.Semaphore, act: Callable[[], None]) -> Callable[[], None]:
    """Act, and wait until the agent has the whole call."""

    def run() -> None:
        act()
        heard.acquire()

    return run


def run(rounds: int) -> Iterator[str]:
    """Measure: the table."""
    with (
        tempfile.TemporaryDirectory() as name,
        network_namespace("hook") as namespace,
    ):
        folder = Path(name)
        plain, annotated = folder / "plain.xml", folder / "annotated.xml"
        required = folder / "required.xml"
        required.write_bytes(domain_xml(REQUIRED))
        plain.write_bytes(domain_xml(""))
        annotated.write_bytes(domain_xml(ANNOTATION))
        empty = write_script(folder / "empty", "exit 0")
        inside = f"exec ip netns exec {namespace} sh -e "
        body = write_script(folder / "body", *iptables_commands(PORTS))
        script = write_script(folder / "script", f"{inside}{body}")
        enter = write_script(folder / "enter", f"{inside}-c true")
        forget = write_script(folder / "forget", f"{inside}-c '{FORGET}'")
        ours = folder / "zthook"
        hook = HOOK.read_text().replace("/run/zthook/hook.sock", str(folder / "hook.sock"))
        ours.write_text(hook)
        shutil.copymode(HOOK, ours)
        with answering_agent(folder / "hook.sock") as heard:
            timings = interleaved(
                {
                    "empty #!/bin/sh hook": Candidate(spawned(empty, plain, "started")),
                    "zthook, guest without annotation": Candidate(spawned(ours, plain, "started")),
                    "zthook, annotated guest": Candidate(
                        spawned(ours, annotated, "started"), heard.acquire
                    ),
                    "  until the agent has the whole call": Candidate(
                        until(heard, spawned(ours, annotated, "started"))
                    ),
                    "zthook, required guest": Candidate(
                        spawned(ours, required, "prepare"), heard.acquire
                    ),
                    "  of which: python3 -I -S": Candidate(ran("/usr/bin/python3", *BARE)),
                    f"iptables script, {PORTS} ports": Candidate(
                        spawned(script, plain, "started"), spawned(forget, plain, "stopped")
                    ),
                    "  of which: entering the namespace": Candidate(
                        spawned(enter, plain, "started")
                    ),
                },
                rounds,
            )
    yield table("Hook, whole process", timings, "empty #!/bin/sh hook")
