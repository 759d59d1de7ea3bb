"""Verified blocks on disk: the same ones back, damage named, other files left alone."""

from pathlib import Path

import pytest

from openledger.client.trust_store import FileTrustStore, TrustStoreError
from openledger.light.results import Trusted
from tests.kit.simulated_chain import SimulatedChain


def _trusted(chain_id: str = "dev-simulated") -> Trusted:
    chain = SimulatedChain(chain_id=chain_id)
    chain.make_blocks(3)
    return Trusted("genesis document", (chain.blocks[1], chain.blocks[3]))


def test_what_was_saved_is_loaded_again(tmp_path: Path) -> None:
    store = FileTrustStore(tmp_path / "new" / "folder")
    assert store.load("dev-simulated") is None
    store.save("dev-simulated", _trusted())
    assert store.load("dev-simulated") == _trusted()
    assert store.load("dev-other") is None


@pytest.mark.parametrize("chain_id", ["../../escape", "a/b", ".hidden", "x" * 50, "ü"])
def test_no_chain_id_leads_out_of_the_folder(tmp_path: Path, chain_id: str) -> None:
    folder = tmp_path / "store"
    store = FileTrustStore(folder)
    store.save(chain_id, _trusted(chain_id))
    assert store.load(chain_id) == _trusted(chain_id)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("place", [2, 40, 700, -30])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, place: int) -> None:
    store = FileTrustStore(tmp_path)
    store.save("dev-simulated", _trusted())
    path = tmp_path / "dev-simulated.json"
    data = bytearray(path.read_bytes())
    data[place] ^= 2
    path.write_bytes(data)
    with pytest.raises(TrustStoreError, match=r"dev-simulated\.json is damaged .*remove it and pass --genesis"):
        store.load("dev-simulated")


def test_the_file_of_another_chain_is_refused(tmp_path: Path) -> None:
    store = FileTrustStore(tmp_path)
    store.save("dev-simulated", _trusted())
    (tmp_path / "dev-simulated.json").rename(tmp_path / "dev-other.json")
    with pytest.raises(TrustStoreError, match="another version or chain"):
        store.load("dev-other")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrustStoreError, match="cannot be written"):
        FileTrustStore(tmp_path / "file").save("dev-simulated", _trusted())
