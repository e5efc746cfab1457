"""edge.toml and host.toml: what is read, and how each fault is named."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zthook.config.loading import load_edge, load_host, parse_edge, parse_host
from zthook.config.settings import EdgeSettings, HostSettings, OverlaySettings
from zthook.errors import ConfigError, NotEnrolled
from zthook.model.addresses import AddressRange, Pool

EDGE = """\
[overlay]
driver = "zerotier"                  # or "interface"
network = "b87d70f46bc5c578"         # zerotier: the network's id
home = "/var/lib/zerotier-one"       # zerotier: holds authtoken.secret and zerotier-one.port
# interface = "br-overlay"           # driver "interface": its name

[api]
port = 9443                          # on the overlay address, nowhere else

[lease]
seconds = 60

[[pool]]
name = "hk"
addresses = ["203.0.113.10-203.0.113.14", "203.0.113.64/28"]
uplink = "eth0"
"""

HOST = """\
[overlay]
driver = "interface"
interface = "zt0"

[libvirt]
uri = "qemu:///system"

[host]
via = "192.168.193.2"
"""

WHERE = Path("edge.toml")


def ranges(*texts: str) -> tuple[AddressRange, ...]:
    return tuple(AddressRange.parse(text) for text in texts)


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_edge(text, WHERE)
    return caught.value.message.splitlines()


def host_faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_host(text, Path("host.toml"))
    return caught.value.message.splitlines()


def test_an_edge_file_in_full(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(EDGE)
    hk = Pool("hk", ranges("203.0.113.10-203.0.113.14", "203.0.113.64/28"), "eth0")
    home = Path("/var/lib/zerotier-one")
    overlay = OverlaySettings("zerotier", network="b87d70f46bc5c578", home=home)
    assert load_edge(path) == EdgeSettings(overlay, 9443, 60.0, 600.0, 2.0, (hk,))


def test_a_host_file_in_full(tmp_path: Path) -> None:
    path = tmp_path / "host.toml"
    path.write_text(HOST)
    overlay = OverlaySettings("interface", interface="zt0")
    assert load_host(path) == HostSettings(overlay, via=IPv4Address("192.168.193.2"))


def test_all_but_the_overlay_may_be_left_out() -> None:
    text = '[overlay]\ndriver = "interface"\ninterface = "zt0"\n'
    overlay = OverlaySettings("interface", interface="zt0")
    assert parse_edge(text, WHERE) == EdgeSettings(overlay)
    assert parse_host(text, WHERE) == HostSettings(overlay)


@pytest.mark.parametrize("load", [load_edge, load_host])
def test_a_missing_file_says_what_to_run(tmp_path: Path, load: object) -> None:
    with pytest.raises(NotEnrolled) as caught:
        load(tmp_path / "none.toml")  # type: ignore[operator]
    assert "none.toml" in caught.value.message
    assert "zthook edge" in caught.value.hint


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can not be read: Is a directory"):
        load_edge(tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_bytes(b"[overlay]\ndriver = '\xff'\n")
    with pytest.raises(ConfigError, match=r"edge\.toml:2: not UTF-8"):
        load_edge(path)


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("[overlay]\ndriver = \n", "edge.toml:2: not TOML"),
        ("[overlay]\n[overlay]\n", "edge.toml:2: not TOML"),
        ('[overlay]\n\nkey = "', "edge.toml:3: not TOML"),
        ("a = " + "[" * 5000, "edge.toml:1: nested too deeply"),
    ],
)
def test_no_toml_at_all(text: str, beginning: str) -> None:
    assert faults(text)[0].startswith(beginning)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("driver =", "drivr =", 2, "overlay.drivr is no key of this file: did you mean 'driver'?"),
        ("driver =", "drivr =", 1, 'overlay.driver is missing: driver = "zerotier"'),
        ('"zerotier"', '"zt"', 2, "overlay.driver is 'zt', a string: it must be \"zerotier\""),
        ('"zerotier"', '"interface"', 3, 'overlay.network has no meaning with driver = "interf'),
        ('"zerotier"', '"interface"', 4, "overlay.home has no meaning"),
        ("# interface", "interface", 5, "overlay.interface has no meaning"),
        ("b87d70f46bc5c578", "b87d70f46b", 3, "16 hexadecimal digits"),
        ("b87d70f46bc5c578", "B87D70F46BC5C578", 3, "lower case"),
        ("network =", "# network =", 1, "overlay.network is missing"),
        ('"/var/lib/zerotier-one"', '"zerotier-one"', 4, "an absolute path"),
        ("9443", '"9443"', 8, "api.port is '9443', a string: it must be an integer from 1"),
        ("9443", "0", 8, "from 1 to 65535"),
        ("9443", "true", 8, "api.port is True, a boolean"),
        ("[api]\nport", "[apis]\nport", 7, "apis is no key of this file: did you mean 'api'?"),
        ("[api]", "[[api]]", 7, "api is an array: it must be a table"),
        ("seconds = 60", "seconds = -1", 11, "lease.seconds is -1, an integer: it must be a numb"),
        ("seconds = 60", "seconds = nan", 11, "lease.seconds is nan"),
        ("seconds = 60", "seconds = inf", 11, "lease.seconds is inf"),
        ("seconds = 60", "seconds = 1979-05-27", 11, "a date or time"),
        ("[[pool]]", "[pool]", 13, "pool is a table: it must be an array"),
        ('name = "hk"', 'name = "h k"', 14, "pool[1].name is 'h k', a string"),
        ('name = "hk"', 'nam = "hk"', 14, "did you mean 'name'?"),
        ('uplink = "eth0"', "", 13, "pool[1].uplink is missing"),
        ('uplink = "eth0"', 'uplink = "an-interface-too-long"', 16, "pool[1].uplink"),
        ("addresses = [", "# [", 13, "pool[1].addresses is missing"),
        ('"203.0.113.64/28"', '"203.0.113.70/28"', 15, 'it must be "203.0.113.64/28" for the'),
        ('"203.0.113.64/28"', '\n\n"nonsense"', 17, "pool[1].addresses has 'nonsense'"),
        ('"203.0.113.64/28"', "7", 15, "pool[1].addresses has 7"),
        ('"203.0.113.64/28"', '"127.0.0.1"', 15, "none of them loopback"),
        ('"203.0.113.64/28"', '"0.0.0.0/0"', 15, "none of them loopback"),
        ('"203.0.113.64/28"', '"203.0.113.9-203.0.113.1"', 15, "is not a range"),
        ('"203.0.113.64/28"', '"203.0.113.1-2001:db8::1"', 15, "is not a range"),
        ('"203.0.113.64/28"', '"203.0.113.14"', 15, "which overlap"),
    ],
)
def test_each_fault_is_named_with_its_line(old: str, new: str, line: int, words: str) -> None:
    assert old in EDGE
    found = faults(EDGE.replace(old, new, 1))
    assert any(fault.startswith(f"edge.toml:{line}: ") and words in fault for fault in found), found


def test_all_faults_of_a_file_are_named_at_once() -> None:
    text = EDGE.replace("9443", '"x"').replace("seconds = 60", "seconds = 0").replace("hk", "h k")
    assert [fault.split(" is ")[0] for fault in faults(text)] == [
        "edge.toml:8: api.port",
        "edge.toml:11: lease.seconds",
        "edge.toml:14: pool[1].name",
    ]


def second_pool(**changes: str) -> str:
    lines = {"name": '"de"', "addresses": '["198.51.100.0/30"]', "uplink": '"eth1"'} | changes
    return EDGE + "[[pool]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


def test_a_second_pool() -> None:
    assert [pool.name for pool in parse_edge(second_pool(), WHERE).pools] == ["hk", "de"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": '"hk"'}, "edge.toml:18: pool[2].name 'hk' is taken by an earlier pool"),
        (
            {"addresses": '["203.0.113.14-203.0.113.20"]'},
            "edge.toml:19: pool[2].addresses has 203.0.113.14-203.0.113.20, "
            "which overlaps 203.0.113.10-203.0.113.14 of pool 'hk'",
        ),
        (
            {"arrives_as": '["10.0.0.0/29"]'},
            "edge.toml:21: pool[2].arrives_as must have range by range the same sizes "
            "and families as addresses",
        ),
        (
            {"arrives_as": '["203.0.113.64/30"]'},
            "edge.toml:21: pool[2].arrives_as 203.0.113.64-203.0.113.67 overlaps "
            "203.0.113.64-203.0.113.79, as which those of 'hk' arrive",
        ),
        (
            {"gateway": '"203.0.113.12"'},
            "edge.toml:21: pool[2].gateway is 203.0.113.12, which pool 'hk' gives away: "
            "leave it out of 203.0.113.10-203.0.113.14",
        ),
    ],
)
def test_pools_that_clash(changes: dict[str, str], fault: str) -> None:
    assert faults(second_pool(**changes)) == [fault]


def test_what_a_provider_translates() -> None:
    pool = parse_edge(second_pool(arrives_as='["10.0.0.4/30"]'), WHERE).pools[1]
    assert pool.arrival(IPv4Address("198.51.100.1")) == IPv4Address("10.0.0.5")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"198.51.100.5"', ["198.51.100.5"]),
        ('["198.51.100.5"]', ["198.51.100.5"]),
        ('["fe80::1", "198.51.100.5"]', ["fe80::1", "198.51.100.5"]),
    ],
)
def test_an_uplinks_routers(written: str, read: list[str]) -> None:
    pool = parse_edge(second_pool(gateway=written), WHERE).pools[1]
    assert list(map(str, pool.gateways)) == read


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('"eth1"', "a router's address, as in"),
        ("1", "a router's address, as in"),
        ('"127.0.0.1"', "a router's address, as in"),
        ('"fe80::1%eth1"', "a router's address, as in"),
        ("[]", "or an array of one for each family"),
        ('["198.51.100.5", "198.51.100.6"]', "or an array of one for each family"),
    ],
)
def test_what_is_no_router(written: str, words: str) -> None:
    (fault,) = faults(second_pool(gateway=written))
    assert fault.startswith("edge.toml:21: pool[2].gateway is ")
    assert words in fault


def test_pools_of_one_uplink_agree_on_its_router() -> None:
    first = second_pool(gateway='"198.51.100.5"')
    more = '[[pool]]\nname = "fr"\naddresses = ["192.0.2.0/30"]\nuplink = "eth1"\n'
    assert len(parse_edge(first + more + 'gateway = "198.51.100.5"\n', WHERE).pools) == 3
    assert faults(first + more + 'gateway = "198.51.100.6"\n') == [
        "edge.toml:26: pool[3].gateway is 198.51.100.6, and pool 'de' says 198.51.100.5 for eth1"
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("qemu:///system", "system", 6, "libvirt.uri is 'system', a string"),
        ("192.168.193.2", "192.168.193.2/24", 9, "host.via is '192.168.193.2/24'"),
        ('"192.168.193.2"', "1", 9, "host.via is 1, an integer"),
        ("via =", "table = 254\n#", 9, "a table that, as the next one, is not the kernel's"),
        ("via =", "table = 252\n#", 9, "a table that, as the next one, is not the kernel's"),
        ("via =", "mark = 0\n#", 9, "host.mark is 0"),
        ("via =", "mark = 0x08000000\n#", 9, "two of them set, as 0x0c000000"),
        ("via =", "mark = 0x0e000000\n#", 9, "two of them set"),
        ("via =", "mark = 0x180000000\n#", 9, "an integer of 32 bits"),
        ("via =", "mark = true\n#", 9, "host.mark is True"),
        ("via =", "preference = 32763\n#", 9, "from 1 to 32762"),
        ("via =", "required_second = 1\n#", 9, "did you mean 'required_seconds'?"),
        ('interface = "zt0"', "", 1, "overlay.interface is missing"),
        ('interface = "zt0"', 'interface = ".."', 3, "the name of a network device"),
        ("[host]", "[[pool]]", 8, "pool is no key of this file: known: "),
    ],
)
def test_faults_of_a_host_file(old: str, new: str, line: int, words: str) -> None:
    assert old in HOST
    found = host_faults(HOST.replace(old, new, 1))
    assert any(fault.startswith(f"host.toml:{line}: ") and words in fault for fault in found), found


MUTATIONS = st.tuples(
    st.integers(0, len(EDGE)), st.integers(0, 12), st.text("[]{}=\"\n'#.,a1 \u2028", max_size=6)
)


@given(MUTATIONS)
def test_nothing_but_a_config_error_comes_of_a_damaged_file(cut: tuple[int, int, str]) -> None:
    at, length, inserted = cut
    text = EDGE[:at] + inserted + EDGE[at + length :]
    try:
        parse_edge(text, WHERE)
    except ConfigError as error:
        total = text.count("\n") + 1
        for fault in error.message.splitlines():
            line = int(fault.removeprefix("edge.toml:").split(":")[0])
            assert 1 <= line <= total


def test_an_uplink_is_not_the_overlay(tmp_path: Path) -> None:
    text = (
        '[overlay]\ndriver = "interface"\ninterface = "eth0"\n'
        '[[pool]]\nname = "hk"\naddresses = ["203.0.113.10"]\nuplink = "eth0"\n'
    )
    with pytest.raises(ConfigError, match=r"edge\.toml:7: .*eth0, which is the overlay"):
        parse_edge(text, tmp_path / "edge.toml")


@pytest.mark.parametrize(
    "written", ["127.0.0.1:9753", "[::1]:9753", "overlay:1", "/run/zthook-metrics.sock"]
)
def test_where_metrics_are_served(written: str) -> None:
    section = f'\n[metrics]\nlisten = "{written}"\n'
    assert str(parse_host(HOST + section, WHERE).metrics) == written
    assert str(parse_edge(EDGE + section, WHERE).metrics) == written


@pytest.mark.parametrize("written", ["127.0.0.1:9444", "[::1]:9444", "overlay:9444"])
def test_where_the_web_page_is_served(written: str) -> None:
    assert str(parse_edge(f'{EDGE}\n[web]\nlisten = "{written}"\n', WHERE).web) == written


@pytest.mark.parametrize("written", ['"/run/page.sock"', '"0.0.0.0:9444"', "9444"])
def test_what_is_no_place_for_the_web_page(written: str) -> None:
    (fault,) = faults(f"{EDGE}\n[web]\nlisten = {written}\n")
    assert 'a port, as in "overlay:9444"' in fault


@pytest.mark.parametrize(
    "written",
    [
        *('"9753"', "9753", '"127.0.0.1:0"', '"localhost:9753"', '"::1:9753"', '"[127.0.0.1]:1"'),
        *('"192.168.193.2:9753"', '"0.0.0.0:9753"', '"[::]:9753"', '"[::ffff:127.0.0.1]:9753"'),
    ],
)
def test_what_is_no_place_for_metrics(written: str) -> None:
    (fault,) = faults(f"{EDGE}\n[metrics]\nlisten = {written}\n")
    assert 'it must be "overlay" or an address of loopback, and a port' in fault
