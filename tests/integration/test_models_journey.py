"""A builder with a base of their own on a real chain: added, shown, judged, compared, brought back; no id typed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from openledger.exit_codes import ExitCode
from tests.kit.integration.office import Office, open_office
from tests.kit.trainer.tiny import tiny_model

pytestmark = [pytest.mark.integration, pytest.mark.ml]

_ID = re.compile(r"[0-9a-f]{16}|ol[a-z]+1[a-z0-9]{8}")


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Office]:
    with open_office(tmp_path, monkeypatch, capsys) as made:
        shutil.copytree(tiny_model(), tmp_path / "tiny-llama")
        (tmp_path / "train.toml").write_text("steps = 3\n")
        for number, name in enumerate(("rows", "shop", "clinic")):
            text = "".join([json.dumps({"text": f"{name} {number} {row} of a garden"}) + "\n" for row in range(4)])
            (tmp_path / f"{name}.jsonl").write_text(text)
        yield made


def type_in(office: Office, line: str, expect: ExitCode = ExitCode.OK) -> str:
    """Run a command as somebody types it, and give everything that it says."""
    assert not _ID.search(line), f"somebody had to type an id: {line}"
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)]
    return office.told(*words, expect=expect)


def fill(office: Office, name: str, terms: str) -> None:
    """A DataNet of alice's with a contribution of bob's, frozen as version 1."""
    type_in(office, f"data new {name} --terms {terms} --from alice")
    type_in(office, f"data add {name} {name}.jsonl --from bob")
    type_in(office, f"data review {name} --accept 1 --from alice")
    type_in(office, f"data freeze {name} --from alice")


def test_a_base_of_ones_own_goes_all_the_way_by_names_alone(office: Office) -> None:
    said = type_in(office, "model add tiny-llama tiny-llama --terms apache-2.0 --from alice")
    assert "received under Apache-2.0" in said
    assert "next: openledger model show tiny-llama" in said
    assert "tiny-llama@1: import" in type_in(office, "model show tiny-llama")
    type_in(office, "model get tiny-llama --to back")
    for path in (office.folder / "tiny-llama").iterdir():
        assert (office.folder / "back" / path.name).read_bytes() == path.read_bytes()
    assert "5 of them were there" in type_in(office, "model get tiny-llama --to back")
    (office.folder / "back" / "config.json").write_text("{}")
    assert "is there already" in type_in(office, "model get tiny-llama --to back", ExitCode.USAGE)

    type_in(office, 'terms add "clinic terms" --like CC-BY-4.0 --approval yes --from bob')
    for name, terms in (("rows", "CC-BY-4.0"), ("shop", "cc-by-nc-4.0"), ("clinic", '"clinic terms"')):
        fill(office, name, terms)
    run = "record --model gardener --kind full tiny-llama --recipe train.toml --framework mine --parent tiny-llama"
    type_in(office, f"{run} --input rows@1 --from alice")
    type_in(office, f"{run} --input rows@1:50% --input shop@1:50% --again --from alice")
    type_in(office, f"{run} --input clinic@1 --again --from alice")

    yes = type_in(office, "model may gardener@1 --sell")
    assert yes.startswith("Yes, as far as it is declared. Credit: ")
    assert "bob (CC-BY-4.0)" in yes
    assert "tiny-llama@1 (Apache-2.0)" in yes
    assert "Unknown: below the imported base tiny-llama@1." in yes
    no = type_in(office, "model may gardener@2 --sell", ExitCode.MAY_NOT)
    assert no.startswith("No: shop@1 from bob (CC-BY-NC-4.0): for non-commercial use only.")
    assert type_in(office, "model may gardener@2 --research").startswith("Yes")
    ask = type_in(office, "model may gardener --sell", ExitCode.ASK_FIRST)
    assert ask.startswith("Ask: clinic@1 from bob (clinic terms (own terms)): each use needs its owner's approval.")

    compared = type_in(office, "model compare gardener@1 gardener@2")
    assert "Both have the very same numbers in their tensors" in compared
    assert "shop: new (version 1, 50% of the mix" in compared
    listed = type_in(office, "runs --model gardener")
    assert [name for name in ("gardener@3", "gardener@2", "gardener@1") if name in listed] == [
        "gardener@3", "gardener@2", "gardener@1",
    ]  # fmt: skip
    assert "gardener@3" in type_in(office, "runs --limit 1 --follow --seconds 0.1")

    clash = type_in(office, "terms check CC-BY-SA-4.0 CC-BY-NC-4.0", ExitCode.REFUSED)
    assert "CC-BY-SA-4.0 and CC-BY-NC-4.0: a share-alike licence (CC-BY-SA-4.0) admits no further restrictions" in clash
    type_in(
        office, "tx datanets create-datanet --name more --description x --default-terms-id mit --quorum 1 --from alice"
    )
    registered = type_in(office, "terms list --registered")
    for name in ("MIT", "Apache-2.0", "CC-BY-4.0", "CC-BY-NC-4.0", "clinic terms"):
        assert f" {name} " in registered
