"""The beacon secret of a home: chains of links, the link that is due, and what is said when there is none."""

import logging
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from abci_app.bech32 import encode_id
from abci_app.mechanisms.beacon import OnionInForce, OnionView, next_onion
from node import onions
from node.errors import NodeError
from node.home import Home
from node.onions import STRETCH, Revealing, make_chain, make_secret, read_secret, renew

LENGTH = 2 * STRETCH
Search = Callable[[Callable[[], None]], None]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "openledger.beacon")

    def take() -> list[str]:
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return lines

    return take


def at_once(work: Callable[[], None]) -> None:
    work()


def links_of(home: Home, place: int = -1) -> list[bytes]:
    """All links of a chain, the onion last."""
    chain = read_secret(home).chains[place]
    links = [chain.checkpoints[:32]]
    for _ in range(chain.length):
        links.append(next_onion(links[-1]))
    return links


def test_a_chain_is_made_of_hashes_and_keeps_every_1024th_link() -> None:
    chain = make_chain(b"\x01" * 32, 0, LENGTH)
    assert len(chain.checkpoints) == 2 * 32
    link = chain.checkpoints[:32]
    for place in range(LENGTH):
        if place == STRETCH:
            assert link == chain.checkpoints[32:]
        link = next_onion(link)
    assert link == chain.onion
    assert chain == make_chain(b"\x01" * 32, 0, LENGTH)
    others = {make_chain(b"\x01" * 32, 1, LENGTH).onion, make_chain(b"\x02" * 32, 0, LENGTH).onion, chain.onion}
    assert len(others) == 3


@pytest.mark.parametrize("length", [0, 1, STRETCH - 1, STRETCH + 1])
def test_a_chain_has_whole_stretches(length: int) -> None:
    with pytest.raises(ValueError, match=f"a chain of {length} links is no multiple of 1024"):
        make_chain(bytes(32), 0, length)


def test_the_secret_is_made_once_and_for_its_owner_alone(home: Home) -> None:
    onion = make_secret(home, LENGTH)
    assert make_secret(home, LENGTH) == onion == read_secret(home).chains[0].onion
    assert stat.S_IMODE(home.beacon_secret_file.stat().st_mode) == 0o600
    renew(home)
    assert stat.S_IMODE(home.beacon_secret_file.stat().st_mode) == 0o600


def test_every_link_is_found_from_the_onion_that_the_chain_holds(home: Home, said: Callable[[], list[str]]) -> None:
    make_secret(home, LENGTH)
    links, node = links_of(home), Revealing(home)
    for used in range(LENGTH):
        assert node.reveal(links[LENGTH - used], used) == links[LENGTH - used - 1]
    assert all("reveals are left" in line for line in said())
    # After a restart, and after a rollback, at any place.
    for used in (0, 1, STRETCH - 1, STRETCH, STRETCH + 1, LENGTH - 1):
        assert Revealing(home).reveal(links[LENGTH - used], used) == links[LENGTH - used - 1]
        assert node.reveal(links[LENGTH - used], used) == links[LENGTH - used - 1]


def test_a_renewed_onion_is_taken_up_while_the_node_runs_and_the_old_one_goes_on(home: Home) -> None:
    first = make_secret(home, LENGTH)
    node = Revealing(home)
    assert node.reveal(first, 0) is not None
    second = renew(home)
    assert second != first
    old, new = links_of(home, 0), links_of(home, 1)
    assert node.reveal(old[-2], 1) == old[-3]
    assert node.reveal(second, 0) == new[-2]
    assert node.reveal(new[-2], 1) == new[-3]
    assert node.reveal(old[-3], 2) == old[-4]


def test_a_chain_that_the_file_lacks_is_made_again_from_the_secret(home: Home, said: Callable[[], list[str]]) -> None:
    """The home was restored from a backup that is older than the last `renew`."""
    make_secret(home, LENGTH)
    before = home.beacon_secret_file.read_bytes()
    renew(home)
    third = renew(home)
    links = links_of(home)
    home.beacon_secret_file.write_bytes(before)
    node = Revealing(home, at_once)
    assert node.reveal(links[-6], 5) is None
    lines = said()
    assert lines[0] == "found the validator's onion in chain 2 of its beacon secret"
    assert lines[1].startswith("this validator is silent: no chain in ")
    assert node.reveal(links[-6], 5) == links[-7]
    assert [chain.number for chain in read_secret(home).chains] == [0, 1, 2]
    assert read_secret(home).chains[-1].onion == third
    assert said() == []


def test_an_onion_of_another_secret_is_searched_for_once_and_said_once(
    home: Home, said: Callable[[], list[str]]
) -> None:
    make_secret(home, LENGTH)
    searched: list[int] = []

    def search(work: Callable[[], None]) -> None:
        searched.append(1)
        work()

    node = Revealing(home, search)
    for used in range(5):
        assert node.reveal(b"\x05" * 32, used) is None
    assert (len(searched), len(said())) == (1, 1)
    assert [chain.number for chain in read_secret(home).chains] == [0]


def test_an_onion_that_is_used_up_is_said(home: Home, said: Callable[[], list[str]]) -> None:
    make_secret(home, LENGTH)
    links = links_of(home)
    assert Revealing(home).reveal(links[0], LENGTH) is None
    (line,) = said()
    assert line == (
        f"this validator is silent: its onion has given all its {LENGTH} reveals; make a new one with `openledger "
        "node onion --renew`"
    )


def test_a_quarter_before_its_end_a_chain_should_be_renewed_and_that_is_said_a_few_times(
    home: Home, said: Callable[[], list[str]]
) -> None:
    make_secret(home, LENGTH)
    links, node = links_of(home), Revealing(home)
    for used in range(LENGTH):
        node.reveal(links[LENGTH - used], used)
    lines = said()
    assert len(lines) == 16
    assert (
        lines[0]
        == "480 reveals are left of this validator's onion; make a new one with `openledger node onion --renew`"
    )
    assert lines[-1].startswith("0 reveals are left")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff", b'{"version": 1}', b'{"version": 2, "secret": "00", "chains": []}',
        b'{"version": 1, "secret": "zz", "chains": []}',
        b'{"version": 1, "secret": "%s", "chains": []}' % (b"00" * 32),
        b'{"version": 1, "secret": "%s", "chains": [%s]}'
        % (b"00" * 32, b'{"number": 0, "length": 1024, "onion": "00", "checkpoints": "AA=="}'),
    ],
    ids=["empty", "cut off", "a list", "no text", "no fields", "later", "no hex", "no chain", "no checkpoints"],
)  # fmt: skip
def test_a_secret_that_is_not_whole_is_refused_and_nothing_of_it_shown(
    home: Home, said: Callable[[], list[str]], content: bytes
) -> None:
    home.config_folder.mkdir()
    home.beacon_secret_file.write_bytes(content)
    text = f"{home.beacon_secret_file} cannot be read or is not whole; put it back from its backup"
    with pytest.raises(NodeError) as refused:
        read_secret(home)
    assert str(refused.value) == text
    assert refused.value.__cause__ is None
    assert Revealing(home).reveal(bytes(32), 0) is None
    assert said() == [f"this validator is silent: {text}"]


def test_a_home_without_a_secret_is_silent_and_says_so_once(home: Home, said: Callable[[], list[str]]) -> None:
    node = Revealing(home)
    for used in range(3):
        assert node.reveal(bytes(32), used) is None
    (line,) = said()
    assert line == (
        f"this validator is silent: no beacon secret at {home.beacon_secret_file}; put it back from its backup, or "
        "make a new one with `openledger node onion --renew`"
    )
    make_secret(home, LENGTH)
    assert node.reveal(read_secret(home).chains[0].onion, 0) is not None


def test_a_secret_that_others_can_read_is_said(home: Home, said: Callable[[], list[str]]) -> None:
    onion = make_secret(home, LENGTH)
    home.beacon_secret_file.chmod(0o644)
    assert Revealing(home).reveal(onion, 0) is not None
    assert said() == [f"{home.beacon_secret_file} is readable by others; run chmod 600 on it"]


def test_a_wrong_checkpoint_gives_no_wrong_reveal(home: Home) -> None:
    onion = make_secret(home, LENGTH)
    known = read_secret(home)
    damaged = replace(known.chains[0], checkpoints=known.chains[0].checkpoints[:32] + bytes(32))
    onions._write(home, replace(known, chains=(damaged,)))
    assert Revealing(home, lambda work: None).reveal(onion, 0) is None


def test_nothing_of_the_secret_is_ever_logged(home: Home, said: Callable[[], list[str]]) -> None:
    make_secret(home, LENGTH)
    renew(home)
    known = read_secret(home)
    node = Revealing(home, at_once)
    for chain, place in ((known.chains[0], 0), (known.chains[1], 1)):
        links = links_of(home, place)
        for used in (0, LENGTH - 2, LENGTH):
            node.reveal(links[LENGTH - used], used)
        text = " ".join(said())
        secret = [known.secret.hex(), chain.checkpoints.hex(), *[link.hex() for link in links]]
        assert not any(each in text for each in secret)


def test_what_is_left_of_an_onion_is_known_from_how_much_is_used(home: Home) -> None:
    make_secret(home, LENGTH)
    renew(home)
    known = read_secret(home)
    for place in (0, 1):
        links = links_of(home, place)
        for used in (0, 1, STRETCH - 1, STRETCH, LENGTH - 1, LENGTH):
            assert onions.find_left(known, links[LENGTH - used], used) == LENGTH - used
            assert onions.find_left(known, links[LENGTH - used], used + 1) is None
    assert onions.find_left(known, bytes(32), 0) is None


def test_the_onion_that_counts_is_the_next_one_from_its_height_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found = OnionView(onion=b"\x01" * 32, used=7, next_onion=b"\x02" * 32, next_from_height=100)
    monkeypatch.setattr(onions, "ask", lambda *asked: found)
    operator = encode_id("open", bytes(32))
    assert onions.of_chain("url", operator, 98) == OnionInForce(b"\x01" * 32, 7)
    assert onions.of_chain("url", operator, 99) == OnionInForce(b"\x02" * 32, 0)
    assert onions.of_chain("url", "", 99) is None
    monkeypatch.setattr(onions, "ask", lambda *asked: None)
    assert onions.of_chain("url", operator, 98) is None
