"""A real edge, a real host's commands: where their secrets are, and where they are not."""

import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge_api.machine import ADDRESS, ZTHOOK, Enrolled, Machine
from zthook.wire.token import read_token, write_token

pytestmark = pytest.mark.netns


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.close()


def command_lines() -> str:
    """Every process's arguments, as anybody sees them."""
    shown = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            shown.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it ended
    return "\n".join(shown)


def test_secrets_are_in_their_files_alone(machine: Machine) -> None:
    machine.init()
    daemon = machine.serve(ZTHOOK_LOG="debug")
    machine.listens_at(ADDRESS)
    token = machine.token("home1")
    home1 = Enrolled(machine, token)
    home1.begin()
    again = machine.told("edge", "host", "rotate", "home1")["token"]
    secrets = [token.secret, home1.credential, read_token(again).secret]
    said = [
        home1.ask("POST", "/v1/enrol", {"secret": token.secret, "hostname": "x"}).text,
        home1.ask("POST", "/v1/enrol", {"secret": token.secret, "hostname": 7}).text,
        home1.ask("PUT", "/v1/claims", {"credential": home1.credential}).text,
        *machine.zthook("edge", "status", "--json")[1:],
        *machine.zthook("edge", "host", "list", "--json")[1:],
        *machine.zthook("edge", "log", "--json")[1:],
        command_lines(),
    ]
    daemon.stop()
    said.append(daemon.log_text())
    stored = b"".join(path.read_bytes() for path in (machine.tmp / "state").glob("edge.sqlite*"))
    key = (machine.tmp / "state/keys/edge.key").read_text().splitlines()[1]
    for secret in (*secrets, key):
        assert all(secret not in text for text in said)
        assert secret.encode() not in stored


def test_what_holds_secrets_is_roots_alone(machine: Machine) -> None:
    machine.init()
    machine.serve()
    machine.token("home1")
    for path in (machine.tmp / "state", *(machine.tmp / "state").rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), (path, oct(mode))
    assert stat.S_IMODE((machine.tmp / "run/edge.sock").stat().st_mode) == 0o600


def test_a_token_can_be_given_where_no_list_of_processes_has_it(machine: Machine) -> None:
    machine.init()
    machine.serve()
    machine.listens_at(ADDRESS)
    token = write_token(machine.token("home1"))
    joining = subprocess.Popen(
        [str(word) for word in machine.host.entering([*ZTHOOK, "join", "-"])],
        env=machine.environment | {"ZTHOOK_STATE_DIR": str(machine.tmp / "host")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert token not in command_lines()
    out, _ = joining.communicate(token, 30)
    assert joining.returncode == 0
    assert "this host is home1" in out
    assert not re.search(r"zthook1\.", out)
    credential = machine.tmp / "host/credential.json"
    assert stat.S_IMODE(credential.stat().st_mode) == 0o600
