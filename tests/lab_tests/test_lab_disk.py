"""A disk of the edge's own, which turns read-only under programs that write there."""

import sys

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.netns

WRITE = """
import os, sys, time
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
while True:
    try:
        os.write(file, b"kept")
        os.fsync(file)
        print("written", flush=True)
    except OSError as error:
        print(error, flush=True)
    time.sleep(0.01)
"""


def test_it_fails_under_a_program_and_is_repaired_with_what_it_had() -> None:
    with Lab(hosts=()) as lab:
        disk, file = lab.edge.give_disk(), lab.edge.daemon.state / "file"
        writing = lab.edge.start("writing", sys.executable, "-c", WRITE, file)
        writing.wait_logged("written")
        written = writing.log_text().count("written")
        disk.fail()
        writing.wait_logged("Read-only file system")
        said = lab.edge.run("touch", file.with_name("other"), check=False).stderr
        assert "Read-only file system" in said
        writing.kill()
        disk.repair()
        lab.edge.reboot()
        assert lab.edge.run("cat", file).stdout.startswith("kept" * written)
        lab.edge.run("touch", file.with_name("other"))
