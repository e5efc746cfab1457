"""Installing, upgrading and going back, with daemons that start and daemons that do not."""

import sqlite3
from pathlib import Path

import pytest

from tests.install.world import ROOT, World

UNITS = {"edge": ["zthook-edge-rules.service", "zthook-edge.service"]}
UNITS["host"] = ["zthook-agent.service", "zthook-agent.socket"]


def store(world: World) -> Path:
    """An edge that is set up, with a store of form 3."""
    (world.folder / "etc").mkdir(exist_ok=True)
    (world.folder / "state").mkdir(exist_ok=True)
    (world.folder / "etc" / "edge.toml").write_text("")
    path = world.folder / "state" / "edge.sqlite"
    link = sqlite3.connect(path)
    link.execute("PRAGMA user_version = 3")
    link.close()
    return path


def form(path: Path) -> int:
    link = sqlite3.connect(path)
    (number,) = link.execute("PRAGMA user_version").fetchone()
    link.close()
    return int(number)


def flawed(world: World, flaw: str) -> None:
    """Versions that are made from now on are so."""
    (world.folder / flaw).touch()


def units(world: World) -> list[str]:
    return sorted(path.name for path in (world.folder / "units").iterdir())


@pytest.mark.parametrize("role", UNITS)
def test_on_a_fresh_machine_it_is_there_enabled_and_started(world: World, role: str) -> None:
    world.do(role, VERSION="1.0")
    assert units(world) == UNITS[role]
    for unit in UNITS[role]:
        assert (world.folder / "units" / unit).read_text() == (ROOT / "install" / unit).read_text()
    enabled = [line.split()[1:] for line in world.told if line.startswith("enable ")]
    assert [sorted(names) for names in enabled] == [UNITS[role]]
    command = world.folder / "bin" / "zthook"
    assert command.resolve() == world.versions["venv"] / "bin" / "zthook"
    assert world.versions["venv"].name.startswith("1.0-")
    assert "previous" not in world.versions


def test_a_second_role_keeps_the_first(world: World) -> None:
    world.do("edge")
    world.do("host")
    assert units(world) == sorted(UNITS["edge"] + UNITS["host"])
    roles = (world.versions["venv"] / "share" / "zthook" / "roles").read_text()
    assert roles.split() == ["edge", "host"]


def test_an_upgrade_keeps_the_version_before_and_no_older_one(world: World) -> None:
    for version in ("1.0", "1.1", "1.2"):
        world.do("edge", VERSION=version)
    now = world.versions
    assert now["venv"].name.startswith("1.2-")
    assert now["previous"].name.startswith("1.1-")
    assert world.all_versions() - set(now.values()) == {
        one for one in world.all_versions() if one.name.startswith("1.0-")
    }
    world.do("upgrade", VERSION="1.3")
    assert not any(one.name.startswith("1.0-") for one in world.all_versions())


def test_manual_and_completions_are_those_of_the_version_that_runs(world: World) -> None:
    pages = {page.name: page.read_text() for page in (ROOT / "docs" / "man").iterdir()}
    stale = world.folder / "man" / "man1" / "zthook-old.1"
    stale.parent.mkdir()
    stale.touch()
    others = stale.with_name("zsh.1")
    others.touch()
    world.do("edge")
    found = {page for page in (world.folder / "man").rglob("*") if page.is_file()} - {others}
    assert {page.name: page.read_text() for page in found} == pages
    assert all(page.parent.name == f"man{page.suffix[1:]}" for page in found)
    for place in ("bash/zthook", "zsh/_zthook", "fish/zthook"):
        assert (world.folder / "share" / place).read_text().startswith("zthook, version")
    world.do("uninstall")
    assert [page for page in (world.folder / "man").rglob("*") if page.is_file()] == [others]


def test_an_upgrade_of_nothing_says_what_to_do(world: World) -> None:
    done = world.run("upgrade")
    assert done.returncode == 1
    assert "hint: ./install.sh host, or edge" in done.stderr


@pytest.mark.parametrize("role", UNITS)
def test_where_the_new_daemon_does_not_start_the_version_before_runs(
    world: World, role: str
) -> None:
    store(world)
    world.do(role, VERSION="1.0")
    flawed(world, "does-not-start")
    before = world.files()
    done = world.run("upgrade", VERSION="1.1")
    assert done.returncode == 1
    assert "what the daemon said" in done.stderr
    assert "hint: journalctl" in done.stderr
    last = [line for line in world.told if line.startswith("restart")][-2:]
    assert len(set(last)) == 1
    after = world.files()
    ours = {"opt/install.log", "state/edge.sqlite.before-upgrade"}
    assert {name for name in before if before[name] != after[name]} <= ours
    assert set(after) - set(before) <= ours
    (world.folder / "does-not-start").unlink()
    world.do("upgrade", VERSION="1.1")
    assert world.versions["venv"].name.startswith("1.1-")


def test_on_a_fresh_machine_what_does_not_start_stays_to_be_looked_at_and_tried_again(
    world: World,
) -> None:
    flawed(world, "does-not-start")
    assert world.run("host", VERSION="1.0").returncode == 1
    assert (world.folder / "opt" / "venv" / "bin" / "zthook").exists()
    (world.folder / "does-not-start").unlink()
    world.do("host", VERSION="1.1")
    assert world.versions["venv"].name.startswith("1.1-")


def test_a_store_that_the_new_version_changed_is_as_it_was(world: World) -> None:
    path = store(world)
    world.do("edge", VERSION="1.0")
    flawed(world, "changes-the-store")
    flawed(world, "does-not-start")
    assert world.run("upgrade", VERSION="1.1").returncode == 1
    assert form(path) == 3


def test_where_pip_fails_nothing_has_changed(world: World) -> None:
    world.do("host", VERSION="1.0")
    before, told = world.files(), world.told
    flawed(world, "no-index")
    done = world.run("upgrade", VERSION="1.1")
    assert done.returncode == 1
    assert "no index here" in done.stderr
    assert "package index" in done.stderr
    assert {
        k: v for k, v in world.files().items() if "install.log" not in k and k != "no-index"
    } == {k: v for k, v in before.items() if "install.log" not in k}
    assert world.told == told


def test_rollback_goes_back_and_forth(world: World) -> None:
    path = store(world)
    world.do("edge", VERSION="1.0")
    flawed(world, "changes-the-store")
    world.do("upgrade", VERSION="1.1")
    assert form(path) == 9
    before = world.versions
    world.do("rollback")
    assert world.versions == {"venv": before["previous"], "previous": before["venv"]}
    assert form(path) == 3
    assert world.told[-1] == "restart zthook-edge.service"
    world.do("rollback")
    assert world.versions == before


def test_without_a_version_before_there_is_no_rollback(world: World) -> None:
    world.do("edge")
    done = world.run("rollback")
    assert done.returncode == 1
    assert "no version before" in done.stderr


def test_an_installation_by_hand_becomes_a_version(world: World) -> None:
    by_hand = world.folder / "opt" / "venv" / "bin"
    by_hand.mkdir(parents=True)
    (by_hand / "zthook").write_text("#!/bin/sh\n")
    (by_hand / "zthook").chmod(0o755)
    (world.folder / "units" / "zthook-agent.service").write_text("")
    world.do("upgrade", VERSION="1.1")
    assert world.versions["venv"].name.startswith("1.1-")
    assert world.versions["previous"].name == "by-hand"


class TestHook:
    def test_it_is_put_there_and_libvirt_restarted_once(self, world: World) -> None:
        world.do("host")
        hook = world.folder / "hooks" / "qemu.d" / "zthook"
        assert hook.read_text() == (ROOT / "hooks" / "qemu").read_text()
        assert hook.stat().st_mode & 0o777 == 0o755
        world.do("host")
        assert world.told.count("restart libvirtd.service") == 1

    def test_without_a_restart_it_says_what_that_means(self, world: World) -> None:
        said = world.do("host", "--no-restart")
        assert "libvirt is not restarted" in said
        assert "restart libvirtd.service" not in world.told

    def test_an_old_libvirt_has_one_file(self, world: World) -> None:
        world.do("host", LIBVIRT="6.4.0")
        assert (world.folder / "hooks" / "qemu").is_file()

    def test_somebody_elses_hook_stops_it_before_anything_is_changed(self, world: World) -> None:
        (world.folder / "hooks" / "qemu").write_text("#!/bin/sh\n")
        before = world.files()
        done = world.run("host", LIBVIRT="6.4.0")
        assert done.returncode == 1
        assert "somebody else's hook" in done.stderr
        assert {k: v for k, v in world.files().items() if not k.startswith("opt")} == before

    def test_where_selinux_lets_no_hook_run_there_is_none(self, world: World) -> None:
        selinux(world, allows=False)
        said = world.do("host")
        assert "SELinux does not let virtqemud run hooks" in said
        assert not (world.folder / "hooks" / "qemu.d").exists()

    def test_where_selinux_lets_it_run_it_gets_its_context(self, world: World) -> None:
        selinux(world, allows=True)
        world.do("host")
        relabelled = (world.folder / "restorecon.log").read_text().splitlines()
        assert f"-RF {world.folder / 'hooks'}" in relabelled
        assert f"-RF {world.folder / 'opt'}" in relabelled


def selinux(world: World, *, allows: bool) -> None:
    """Enforcing, with a policy that lets virtqemud run hooks or not."""
    world.tool("selinuxenabled", "#!/bin/sh\n")
    world.tool("getenforce", "#!/bin/sh\necho Enforcing\n")
    world.tool("selinux_check_access", f"#!/bin/sh\nexit {0 if allows else 1}\n")
    world.tool("restorecon", '#!/bin/sh\necho "$*" >>{world}/restorecon.log\n')


@pytest.mark.parametrize("purge", [False, True])
def test_uninstall_leaves_nothing_but_what_it_names(world: World, purge: bool) -> None:
    before = set(world.files())
    store(world)
    kept = {*(set(world.files()) - before), "state/edge.sqlite.before-upgrade"}
    world.do("edge")
    world.do("host", LACKS="python3-libvirt")
    said = world.do("uninstall", *(["--purge"] if purge else []))
    left = set(world.files()) - before
    assert left == (set() if purge else kept)
    assert "packages that came with it stay: python3-libvirt" in said
    if not purge:
        assert "(--purge removes them)" in said


def a_member(world: World, leaving: str) -> None:
    """A host of an edge, where `zthook leave` does as ``leaving`` says."""
    world.do("host")
    state = world.folder / "state"
    state.mkdir(exist_ok=True)
    (state / "credential.json").write_text('{"host": "home1"}')
    (state / "host-local.conf.json").write_text("{}")
    world.tool("zthook", f'#!/bin/sh\necho "$*" >>{{world}}/asked.log\n{leaving}\n')


def asked(world: World) -> list[str]:
    return (world.folder / "asked.log").read_text().splitlines()


def test_a_host_leaves_its_edge_before_the_program_goes(world: World) -> None:
    a_member(world, "rm -f {world}/state/credential.json")
    said = world.do("uninstall")
    assert asked(world) == ["leave", "restore"]
    assert "Next: nothing" in said


def test_without_an_edge_that_answers_it_leaves_too_and_says_what_is_left(world: World) -> None:
    a_member(
        world,
        'if [ "$2" = --force ]; then rm {world}/state/credential.json; exit; fi\n'
        '[ "$1" = restore ] || { echo "error: no edge answers" >&2; exit 1; }',
    )
    said = world.do("uninstall")
    assert asked(world) == ["leave", "leave --force", "restore"]
    assert said.count("there: zthook edge host remove home1") == 1
    assert "not told (error: no edge answers)" in said
    assert "Next: nothing" not in said


def test_a_failure_after_the_edge_was_told_is_told_as_it_was(world: World) -> None:
    a_member(
        world,
        '[ "$1" = restore ] || { rm {world}/state/credential.json; echo "error: host.toml" >&2;'
        " exit 1; }",
    )
    told = world.do("uninstall").split("Next: ")[1]
    assert asked(world) == ["leave", "restore"]
    assert "zthook leave failed (error: host.toml)" in told
    assert "not told" not in told


def test_without_its_command_it_says_that_the_edge_was_not_told(world: World) -> None:
    world.do("host")
    state = world.folder / "state"
    state.mkdir(exist_ok=True)
    (state / "credential.json").write_text('{"host": "home1"}')
    (world.folder / "bin" / "zthook").unlink()
    path = f"{world.folder / 'tools'}:/usr/sbin:/usr/bin:/sbin:/bin"
    assert "zthook edge host remove home1" in world.do("uninstall", PATH=path)


def test_what_could_not_be_undone_is_said_at_the_end(world: World) -> None:
    a_member(world, "echo this host belongs to no edge now\necho error: no zerotier >&2; exit 1")
    said = world.do("uninstall", "--purge")
    told = said.split("Next: ")[1]
    assert "zthook edge host remove home1" in told
    assert "zthook leave failed (error: no zerotier)" in told
    assert "local.conf could not be put back" in told
    assert not (world.folder / "state").exists()


def test_uninstall_puts_zerotiers_settings_back_while_the_program_is_there(world: World) -> None:
    world.do("edge")
    world.tool("zthook", '#!/bin/sh\n[ -e {world}/bin/zthook ] && echo "$*" >>{world}/asked.log\n')
    state = world.folder / "state"
    state.mkdir(exist_ok=True)
    (state / "edge-local.conf.json").write_text("{}")
    said = world.do("uninstall")
    assert (world.folder / "asked.log").read_text() == "restore\n"
    assert "zerotier-one's settings" in said
