"""Reading and writing annotations through libvirt (its test driver)."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import libvirt
import pytest

from tests.hypervisor.benches import LibvirtBench
from tests.hypervisor.domains import annotation, domain_xml
from zthook.annotation import read_publication, write_publication
from zthook.errors import HypervisorUnavailable, NotFound, Refused
from zthook.hypervisor import definitions
from zthook.hypervisor.definitions import find, set_annotation

URI = "test:///default"
WEB1 = UUID("4dea22b3-1d52-48f3-a516-782e98ab3f01")
ELEMENT = '<publish><address public="203.0.113.10"/></publish>'
OTHERS = "<other xmlns='urn:example:other'>kept</other>"


@pytest.fixture
def bench() -> Iterator[LibvirtBench]:
    bench = LibvirtBench(URI, "test")
    yield bench
    bench.close()


def public(domain: Any) -> str | None:
    return str(domain.publication.requests[0].public) if domain.annotated else None


@pytest.mark.parametrize("name", ["web1", str(WEB1), str(WEB1).upper()])
def test_a_guest_is_found_by_name_and_uuid(bench: LibvirtBench, name: str) -> None:
    bench.define("web1", WEB1, annotation("203.0.113.10"))
    defined, live = find(URI, name)
    assert (defined.uuid, defined.name, public(defined)) == (WEB1, "web1", "203.0.113.10")
    assert live is None


def test_a_running_guest_s_definition_and_life_are_told_apart(bench: LibvirtBench) -> None:
    bench.define("web1", WEB1, annotation("203.0.113.10"))
    bench.start(WEB1)
    bench.define("web1", WEB1, annotation("203.0.113.11"))
    defined, live = find(URI, "web1")
    assert (public(defined), public(live)) == ("203.0.113.11", "203.0.113.10")


def test_a_guest_whose_name_is_like_a_uuid_is_found(bench: LibvirtBench) -> None:
    name = "4dea22b3-1d52-48f3-a516-782e98ab3fff"
    bench.define(name, WEB1)
    assert find(URI, name)[0].uuid == WEB1


def test_a_wrong_name_is_answered_with_near_ones(bench: LibvirtBench) -> None:
    bench.define("webserver", WEB1)
    with pytest.raises(NotFound, match="no guest 'webservr'") as caught:
        find(URI, "webservr")
    assert "webserver" in caught.value.hint
    with pytest.raises(NotFound):
        set_annotation(URI, "webservr", ELEMENT, live=False, persistent=True)
    with pytest.raises(NotFound):
        find(URI, "")


@pytest.mark.parametrize(("live", "persistent"), [(True, True), (True, False), (False, True)])
def test_an_annotation_is_written_where_asked_and_removed(
    bench: LibvirtBench, *, live: bool, persistent: bool
) -> None:
    bench.define("web1", WEB1)
    bench.start(WEB1)
    set_annotation(URI, "web1", ELEMENT, live=live, persistent=persistent)
    found = find(URI, "web1")
    assert public(found[0]) == ("203.0.113.10" if persistent else None)
    assert public(found[1]) == ("203.0.113.10" if live else None)
    set_annotation(URI, "web1", None, live=live, persistent=persistent)
    found = find(URI, "web1")
    assert (public(found[0]), public(found[1])) == (None, None)


def test_another_annotation_takes_the_first_one_s_place(bench: LibvirtBench) -> None:
    bench.define("web1", WEB1)
    for last in ("203.0.113.10", "203.0.113.11"):
        element = ELEMENT.replace("203.0.113.10", last)
        set_annotation(URI, "web1", element, live=False, persistent=True)
    defined, _ = find(URI, "web1")
    assert defined.publication is not None
    assert [str(one.public) for one in defined.publication.requests] == ["203.0.113.11"]


def test_what_the_writer_writes_is_read_back(bench: LibvirtBench) -> None:
    publication = read_publication(
        annotation("203.0.113.10", 'client="hide" required="yes"').encode()
    )
    bench.define("web1", WEB1)
    element = write_publication(publication, namespace=False)
    set_annotation(URI, "web1", element, live=False, persistent=True)
    defined, _ = find(URI, "web1")
    assert defined.publication is not None
    (request,) = defined.publication.requests
    assert request.public == ip_address("203.0.113.10")
    assert request.required
    assert request.client == publication.requests[0].client


def test_the_metadata_of_others_stays(bench: LibvirtBench) -> None:
    bench.define("web1", WEB1, OTHERS)
    set_annotation(URI, "web1", ELEMENT, live=False, persistent=True)
    set_annotation(URI, "web1", None, live=False, persistent=True)
    connection = libvirt.open(URI)
    xml = connection.lookupByUUIDString(str(WEB1)).XMLDesc(0)
    connection.close()
    assert "kept" in xml
    assert "publish" not in xml


def test_removing_what_is_not_there_is_fine(bench: LibvirtBench) -> None:
    bench.define("web1", WEB1)
    set_annotation(URI, "web1", None, live=False, persistent=True)
    assert not find(URI, "web1")[0].annotated


def test_a_guest_that_does_not_run_has_nothing_live(bench: LibvirtBench) -> None:
    bench.define("web1", WEB1)
    with pytest.raises(Refused, match="web1"):
        set_annotation(URI, "web1", ELEMENT, live=True, persistent=True)
    assert not find(URI, "web1")[0].annotated


def test_a_transient_guest_has_nothing_persistent(bench: LibvirtBench) -> None:
    connection = libvirt.open(URI)
    connection.createXML(domain_xml("passing", str(WEB1)))
    with pytest.raises(Refused, match="passing"):
        set_annotation(URI, "passing", ELEMENT, live=True, persistent=True)
    set_annotation(URI, "passing", ELEMENT, live=True, persistent=False)
    assert public(find(URI, "passing")[1]) == "203.0.113.10"
    connection.lookupByUUIDString(str(WEB1)).destroy()
    connection.close()


def test_an_element_that_is_none_is_refused(bench: LibvirtBench) -> None:
    bench.define("web1", WEB1)
    with pytest.raises(Refused):
        set_annotation(URI, "web1", "<publish>", live=False, persistent=True)
    with pytest.raises(ValueError, match="live, persistent, or both"):
        set_annotation(URI, "web1", ELEMENT, live=False, persistent=False)


def test_a_libvirt_that_is_not_there_is_unavailable() -> None:
    nowhere = "qemu+unix:///system?socket=/nonexistent/libvirt-sock"
    with pytest.raises(HypervisorUnavailable, match="nonexistent"):
        find(nowhere, "web1")
    with pytest.raises(HypervisorUnavailable):
        set_annotation(nowhere, "web1", None, live=False, persistent=True)


def test_a_libvirt_that_hangs_is_unavailable(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.setattr(definitions, "SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "sock"))
        silent.listen()
        with pytest.raises(HypervisorUnavailable, match="no answer within"):
            find(f"qemu+unix:///system?socket={tmp_path}/sock", "web1")
