"""--dry-run says what would be done, all of it, and does none of it."""

import pytest

from tests.install.world import World

COMMANDS = [("host",), ("upgrade",), ("rollback",), ("edge",), ("uninstall", "--purge")]


@pytest.mark.parametrize("installed", [[], ["edge", "host", "upgrade"]])
def test_a_plan_changes_nothing(world: World, installed: list[str]) -> None:
    for number, command in enumerate(installed):
        world.do(command, VERSION=f"0.{number}")
    before, told = world.files(), world.told
    for command in COMMANDS:
        world.run(*command, "--dry-run")
    assert world.files() == before
    assert world.told == told


def test_what_changes_is_what_the_plan_names(world: World) -> None:
    for number, command in enumerate(COMMANDS):
        version = f"0.{number}"
        plan = world.do(*command, "--dry-run", VERSION=version)
        before = world.files()
        world.do(*command, VERSION=version)
        after = world.files()
        names = before.keys() | after.keys()
        changed = {name for name in names if before.get(name) != after.get(name)}
        # A version's folder bears the time at which it is made; older ones go without a word.
        silent = ("opt/versions", "opt/install.log")
        counted = [name for name in changed if not name.startswith(silent)]
        assert counted, command
        assert [name for name in counted if not _is_named(world, name, plan)] == [], command


def _is_named(world: World, name: str, plan: str) -> bool:
    """Itself, a folder that it is in, or something in it."""
    path = world.folder / name
    above = [str(folder) for folder in path.parents if world.folder in folder.parents]
    return any(place in plan for place in [str(path), *above]) or path.name in plan


def test_a_plan_has_the_packages(world: World) -> None:
    plan = world.do("edge", "--dry-run", LACKS="nftables")
    assert "apt installs nftables, and what these need" in plan


def test_a_plan_ends_with_how_to_carry_it_out(world: World) -> None:
    assert world.do("host", "--dry-run").splitlines()[-1].startswith("Next: ")


TOKEN = "zthook2.eyJl.12345678"


def test_with_a_token_a_host_joins_once_it_is_installed(world: World) -> None:
    plan = world.do("host", "--dry-run", TOKEN)
    assert "this host, at the edge that made the token" in plan
    assert str(world.folder / "state/credential.json") in plan
    done = world.do("host", TOKEN, "--no-restart")
    assert f"zthook join -: {TOKEN}" in done
    assert "sudo zthook assign GUEST PUBLIC" in done


def test_a_host_that_did_not_join_is_installed_all_the_same(world: World) -> None:
    (world.folder / "join-fails").touch()
    done = world.run("host", TOKEN)
    assert done.returncode == 1
    assert "zthook is installed, and this host has not joined" in done.stderr
    assert world.versions["venv"]
