"""What is written is what is read, and nothing a person wrote is lost."""

import stat
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config.test_loading import EDGE, ranges
from zthook.config.loading import load_edge, load_host, parse_edge, parse_host
from zthook.config.settings import EdgeSettings, Endpoint, HostSettings, OverlaySettings
from zthook.config.writing import (
    add_pool,
    edge_text,
    host_text,
    remove_pool,
    write_edge,
    write_host,
)
from zthook.errors import ConfigError, NotEnrolled, NotFound
from zthook.model.addresses import AddressRange, IPAddress, Pool

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)
DEVICES = st.from_regex(r"[a-z][a-z0-9.-]{0,14}", fullmatch=True)
FOLDERS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda text: text.isprintable() and not text.startswith("/")
)
OVERLAYS = st.one_of(
    st.builds(
        OverlaySettings,
        driver=st.just("zerotier"),
        network=st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
        home=FOLDERS.map(lambda text: Path("/") / text),
        fast_redial=st.booleans(),
    ),
    st.builds(
        OverlaySettings,
        driver=st.just("interface"),
        interface=DEVICES,
        fast_redial=st.booleans(),
    ),
)


ROUTERS: tuple[IPAddress, ...] = (IPv4Address("192.0.2.1"), IPv6Address("fe80::1"))


@st.composite
def pools(draw: st.DrawFn) -> tuple[Pool, ...]:
    """Pools that never overlap: pool n has its ranges in 198.(n).0.0/16."""
    names = draw(st.lists(NAMES, max_size=3, unique=True))
    found = []
    for number, name in enumerate(names, 18):
        size = draw(st.integers(1, 200))
        first = IPv4Address(f"198.{number}.0.0")
        arrival = IPv4Address(f"10.{number}.0.0")
        public = (AddressRange(first, first + size), ranges(f"198.{number}.9.0/24")[0])
        private = (AddressRange(arrival, arrival + size), ranges(f"10.{number}.9.0/24")[0])
        arrives_as = private if draw(st.booleans()) else ()
        routers = tuple(draw(st.sets(st.sampled_from(ROUTERS))))
        found.append(Pool(name, public, draw(DEVICES), arrives_as, routers))
    return tuple(found)


LOOPBACK = st.ip_addresses(network="127.0.0.0/8") | st.just(IPv6Address("::1"))
LISTENS = (
    st.none()
    | st.builds(Endpoint, st.none() | LOOPBACK, st.integers(1, 65535))
    | FOLDERS.map(lambda text: Path("/") / text)
)
SECONDS = st.integers(1, 3600).map(float) | st.floats(1, 3600)
EDGES = st.builds(
    EdgeSettings,
    overlay=OVERLAYS,
    api_port=st.integers(1, 65535),
    lease_seconds=SECONDS,
    grace_seconds=SECONDS,
    resync_seconds=SECONDS,
    pools=pools(),
    metrics=LISTENS,
    web=st.none() | st.builds(Endpoint, st.none() | LOOPBACK, st.integers(1, 65535)),
).filter(lambda edge: all(pool.uplink != edge.overlay.interface for pool in edge.pools))
HOSTS = st.builds(
    HostSettings,
    overlay=OVERLAYS,
    libvirt_uri=st.sampled_from(
        ["qemu:///system", "qemu+unix:///system?socket=/run/a b".replace(" ", "%20")]
    ),
    via=st.none() | st.ip_addresses(v=4),
    dnsmasq_folder=FOLDERS.map(lambda text: Path("/") / text),
    required_seconds=st.floats(0.1, 60),
    mark=st.sets(st.integers(0, 31), min_size=2, max_size=2).map(
        lambda bits: sum(1 << bit for bit in bits)
    ),
    table=st.integers(256, 2**32 - 2),
    preference=st.integers(1, 32762),
    metrics=LISTENS,
)


@given(EDGES)
def test_an_edge_file_reads_back(settings: EdgeSettings) -> None:
    assert parse_edge(edge_text(settings), Path("edge.toml")) == settings


@given(HOSTS)
def test_a_host_file_reads_back(settings: HostSettings) -> None:
    assert parse_host(host_text(settings), Path("host.toml")) == settings


def test_commented_keys_stand_for_what_counts_without_them() -> None:
    overlay = OverlaySettings("interface", interface="zt0")
    for text, parse, usual in [
        (host_text(HostSettings(overlay)), parse_host, HostSettings(overlay)),
        (edge_text(EdgeSettings(overlay)), parse_edge, EdgeSettings(overlay)),
    ]:
        head, _, tail = text.partition("\n\n")
        uncommented = (
            tail.replace("# via", "#via").replace("# listen", "#listen").replace("\n# ", "\n")
        )
        assert parse(f"{head}\n\n{uncommented}", Path("x")) == usual


OVERLAY = OverlaySettings("interface", interface="zt0")
DE = Pool("de", ranges("198.51.100.0/30"), "eth1")


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "edge.toml"
    write_edge(path, EdgeSettings(OVERLAY))
    assert load_edge(path) == EdgeSettings(OVERLAY)
    path.write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        write_edge(path, EdgeSettings(OVERLAY))
    with pytest.raises(ConfigError, match="is there already"):
        write_host(path, HostSettings(OVERLAY))
    assert path.read_text() == "mine"
    assert [entry.name for entry in path.parent.iterdir()] == ["edge.toml"]


def test_a_host_file(tmp_path: Path) -> None:
    write_host(tmp_path / "host.toml", HostSettings(OVERLAY))
    assert load_host(tmp_path / "host.toml") == HostSettings(OVERLAY)


def test_a_place_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can not be written"):
        write_edge(tmp_path / "file" / "edge.toml", EdgeSettings(OVERLAY))


@pytest.fixture
def edge(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(EDGE)
    path.chmod(0o640)
    return path


def test_a_pool_is_added_and_removed(edge: Path) -> None:
    before = load_edge(edge)
    add_pool(edge, DE)
    assert load_edge(edge).pools == (*before.pools, DE)
    assert edge.read_text().startswith(EDGE)
    assert stat.S_IMODE(edge.stat().st_mode) == 0o640
    remove_pool(edge, "hk")
    assert load_edge(edge).pools == (DE,)
    remove_pool(edge, "de")
    assert load_edge(edge).pools == ()
    assert [entry.name for entry in edge.parent.iterdir()] == ["edge.toml"]


def test_adding_and_removing_leaves_the_text_as_it_was(edge: Path) -> None:
    add_pool(edge, DE)
    remove_pool(edge, "de")
    assert edge.read_text().rstrip("\n") == EDGE.rstrip("\n")


def test_comments_around_a_removed_pool_stay(edge: Path) -> None:
    edge.write_text(
        EDGE + "# above de\n[[pool]]\nname = 'de' # gone\n"
        "addresses = [\n'198.51.100.1',\n]\nuplink = 'eth1'\n\n# below\n[edge]\n"
        "resync_seconds = 3 # kept\n"
    )
    remove_pool(edge, "de")
    assert edge.read_text() == EDGE + "# above de\n\n# below\n[edge]\nresync_seconds = 3 # kept\n"
    assert load_edge(edge).resync_seconds == 3


def test_a_file_without_a_last_newline(edge: Path) -> None:
    edge.write_text(EDGE.rstrip("\n"))
    add_pool(edge, DE)
    assert len(load_edge(edge).pools) == 2


def test_a_link_to_the_file_stays_a_link(edge: Path) -> None:
    link = edge.with_name("link.toml")
    link.symlink_to(edge)
    add_pool(link, DE)
    assert link.is_symlink()
    assert len(load_edge(edge).pools) == 2


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        (Pool("hk", ranges("198.51.100.1"), "eth0"), "'hk' is taken by an earlier pool"),
        (Pool("b", ranges("203.0.113.12"), "eth0"), "which overlaps"),
        (Pool("a b", ranges("198.51.100.1"), "eth0"), "a name of letters"),
        (Pool("b", ranges("198.51.100.1"), ""), "pool[2].uplink"),
    ],
)
def test_a_wrong_pool_is_not_added(edge: Path, pool: Pool, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        add_pool(edge, pool)
    assert words in caught.value.message
    assert "left as it is" in caught.value.hint
    assert edge.read_text() == EDGE


def test_pools_written_inline_are_left_to_their_author(edge: Path) -> None:
    one = '{name = "hk", addresses = ["203.0.113.1"], uplink = "eth0"}'
    two = one.replace("hk", "us").replace("113.1", "113.2")
    text = f"pool = [{one}, {two}]\n" + EDGE.split("[[")[0]
    edge.write_text(text)
    with pytest.raises(ConfigError):
        add_pool(edge, DE)
    with pytest.raises(ConfigError, match="written in a way this command does not change"):
        remove_pool(edge, "hk")
    assert edge.read_text() == text


def test_no_such_pool_and_no_such_file(edge: Path) -> None:
    with pytest.raises(NotFound, match="no pool 'x'") as caught:
        remove_pool(edge, "x")
    assert caught.value.hint == "pools there: hk"
    with pytest.raises(NotEnrolled):
        add_pool(edge.with_name("none.toml"), DE)
