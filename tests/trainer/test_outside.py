"""Files made elsewhere: adapters as other programs write them, each read whole or refused by name."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from abci_app.types import PPB
from attribution.adapted_model import AdaptedModel, open_base
from attribution.adapter_config import CONFIG_FILE, AdapterRefused, read_adapter_config
from attribution.adapter_file import ADAPTER_FILE
from openledger.content.artefact import get_artefact, put_artefact
from openledger.errors import UsageError
from tests.kit.trainer.adapters import configured, made_adapter, other_base, with_tensors
from tests.kit.trainer.tiny import TinyChain, tiny_chain, tiny_model
from trainer.ancestry import KnownEntry
from trainer.outside import check_base_of_adapter, describe_folder
from trainer.run_records import ParentRecord

pytestmark = pytest.mark.ml


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyChain:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tiny_chain(tmp_path)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return made_adapter(tmp_path / "adapter")


def parents_of(chain: TinyChain) -> list[ParentRecord]:
    return [ParentRecord(chain.entries["base"].entry_id, "base", PPB)]


def test_an_adapter_of_peft_is_read_whole_and_fits_its_base(chain: TinyChain, adapter: Path) -> None:
    described = describe_folder(adapter, "lora")
    assert [file.name for file in described.files] == [CONFIG_FILE, ADAPTER_FILE]
    config = read_adapter_config(adapter)
    assert (config.rank, config.scaling, sorted(config.target_modules)) == (4, 2.0, ["q_proj", "v_proj"])
    # peft wrote the path of the base: its tensors are those of the recorded base.
    check_base_of_adapter(adapter, parents_of(chain), chain, chain.store)


def test_rank_stabilised_adapters_are_scaled_by_the_root_of_their_rank(tmp_path: Path) -> None:
    import torch

    stabilised = made_adapter(tmp_path / "stabilised", use_rslora=True)
    plain = configured(made_adapter(tmp_path / "plain"), lora_alpha=16)
    assert read_adapter_config(stabilised).scaling == 8 / math.sqrt(4) == read_adapter_config(plain).scaling
    tokens = torch.tensor([[2, 3, 4, 5]])
    logits = [AdaptedModel.open(tiny_model(), each).model(input_ids=tokens).logits for each in (stabilised, plain)]
    assert torch.equal(*logits)
    ordinary = AdaptedModel.open(tiny_model(), made_adapter(tmp_path / "ordinary"))
    assert not torch.equal(ordinary.model(input_ids=tokens).logits, logits[0])
    with pytest.raises(AdapterRefused, match=r"has rank, scaling and modules \(4, 4.0, .*made for \(4, 2.0, "):
        ordinary.load(stabilised)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"use_dora": True}, r"use_dora true cannot be used here: magnitudes would be part of the adapter \(DoRA\)"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern .* cannot be used here"),
        ({"alpha_pattern": {"q_proj": 8}}, "alpha_pattern .* cannot be used here"),
        ({"layers_pattern": "layers"}, "layers_pattern .* cannot be used here"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save .* whole modules of the base would be replaced"),
        ({"task_type": "SEQ_CLS"}, "task_type .* made for another task"),
        ({"task_type": None}, "task_type null .* names no class of model that continues a text"),
        (
            {"task_type": None, "auto_mapping": {"base_model_class": "BertModel", "parent_library": "transformers"}},
            "task_type null .* names no class of model that continues a text",
        ),
        ({"auto_mapping": {"base_model_class": "XForCausalLM", "exec": "x"}}, "auto_mapping .* says more than a class"),
        ({"peft_type": "IA3"}, "peft_type .* an adapter of another kind"),
        ({"bias": "all"}, "bias .* biases of the base would be replaced"),
        ({"lora_bias": True}, "lora_bias true cannot be used here"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights .* the base would be changed"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights .* the base would be changed"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices .* rows of the embedding"),
        ({"target_parameters": ["experts.weight"]}, "target_parameters"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"use_bdlora": {"nblocks": 2}}, "use_bdlora"),
        ({"lora_magic": None}, "lora_magic is not known here, and may change what the adapter does"),
        ({"r": 0}, "r 0 is no rank"),
        ({"r": True}, "r true is no rank"),
        ({"r": "8"}, 'r "8" is no rank'),
        ({"lora_alpha": 0}, "lora_alpha 0 is no positive number"),
        ({"lora_alpha": None}, "lora_alpha null is no positive number"),
        ({"use_rslora": "yes"}, 'use_rslora "yes" is neither true nor false'),
        ({"use_dora": 0}, "use_dora 0 cannot be used here"),
        ({"target_modules": []}, "target_modules .* names no modules"),
    ],
)
def test_a_configuration_that_is_not_computed_with_is_refused_by_its_key(
    adapter: Path, changes: dict[str, Any], text: str
) -> None:
    configured(adapter, **changes)
    for opened in (lambda: describe_folder(adapter), lambda: AdaptedModel.open(tiny_model(), adapter)):
        with pytest.raises(AdapterRefused, match=text):
            opened()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"r": 4, "r": 8}', "a key stands twice"),
        ('{"lora_alpha": NaN}', "NaN is no number"),
        ("[1]", "is no JSON object"),
        ("{", "is not JSON"),
        ("{}", "peft_type is missing"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_configuration_that_is_no_configuration_is_refused(adapter: Path, text: str, said: str) -> None:
    (adapter / CONFIG_FILE).write_text(text)
    with pytest.raises(AdapterRefused, match=said):
        describe_folder(adapter)


def test_every_setting_that_peft_knows_is_read_or_refused() -> None:
    """A newer peft that writes a further key makes this fail: then it is decided what the key means here."""
    from dataclasses import fields

    from peft import LoraConfig

    from attribution.adapter_config import _NEUTRAL, _READ

    written = set(LoraConfig(task_type="CAUSAL_LM").to_dict())
    assert written <= _NEUTRAL.keys() | _READ
    assert {field.name for field in fields(LoraConfig)} - written <= {"runtime_config"}


FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda tensors: tensors.pop(FIRST.format("A")), "the file was cut or put together"),
        (lambda tensors: [tensors.pop(FIRST.format(each)) for each in "AB"], "lora_A.weight is missing in its file"),
        (
            lambda tensors: tensors.update(
                {f"base_model.model.extra.lora_{each}.weight": tensors[FIRST.format(each)] + 0 for each in "AB"}
            ),
            r"base_model.model.extra.lora_A.weight has no place in the base",
        ),
        (lambda tensors: tensors.update({FIRST.format("A"): tensors[FIRST.format("A")][:, :15]}), "the base needs"),
        (lambda tensors: tensors.update({FIRST.format("A"): tensors[FIRST.format("A")][:3]}), "is not of rank 4"),
        (lambda tensors: tensors[FIRST.format("A")].zero_(), "is zero everywhere: was the file downloaded whole"),
        (lambda tensors: tensors[FIRST.format("B")].fill_(math.nan), "numbers that are not finite"),
        (lambda tensors: tensors[FIRST.format("A")][0].fill_(math.inf), "numbers that are not finite"),
        (
            lambda tensors: [tensor.zero_() for name, tensor in tensors.items() if "lora_B" in name],
            "every B matrix is zero: the adapter changes nothing",
        ),
        (
            lambda tensors: tensors.update({"base_model.model.lm_head.weight": tensors[FIRST.format("A")] + 0}),
            "is no A or B matrix of a linear layer",
        ),
        (
            lambda tensors: tensors.update({"exp_avg." + FIRST.format("A"): tensors[FIRST.format("A")] + 0}),
            "the state of an optimizer|was cut or put together",
        ),
        (
            lambda tensors: tensors.update({FIRST.format("A"): tensors[FIRST.format("A")].double()}),
            "is of torch.float64",
        ),
        (lambda tensors: tensors.clear(), "holds no tensor"),
    ],
)
def test_every_tensor_of_an_adapter_has_its_place_and_none_is_missing(
    chain: TinyChain, adapter: Path, change: Callable[[dict[str, Any]], object], text: str
) -> None:
    with_tensors(adapter, change)
    with pytest.raises(UsageError, match=text):
        AdaptedModel.open(tiny_model(), adapter)
    with pytest.raises(UsageError, match=text):
        describe_folder(adapter, "lora")
        check_base_of_adapter(adapter, parents_of(chain), chain, chain.store)


@pytest.mark.parametrize("damage", ["cut", "zeros", "pointer", "web page", "missing"])
def test_a_damaged_adapter_is_refused_and_never_recorded_as_some_files(adapter: Path, damage: str) -> None:
    path = adapter / ADAPTER_FILE
    data = path.read_bytes()
    changed = {
        "cut": data[: len(data) // 2],
        "zeros": bytes(len(data)),
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "web page": b"<html>404</html>",
    }
    path.write_bytes(changed.get(damage, b""))
    if damage == "missing":
        path.unlink()
    for opened in (lambda: describe_folder(adapter, "lora"), lambda: AdaptedModel.open(tiny_model(), adapter)):
        with pytest.raises(UsageError, match=r"not a safetensors file|cut short|git-LFS|is missing|no \.safetensors"):
            opened()


def test_numbers_of_a_download_that_was_never_filled_in_are_refused(adapter: Path) -> None:
    path = adapter / ADAPTER_FILE
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    path.write_bytes(data[:header] + bytes(len(data) - header))
    with pytest.raises(UsageError, match="is zero everywhere: was the file downloaded whole"):
        describe_folder(adapter, "lora")


def test_an_adapter_of_another_base_is_refused_by_the_digest_of_its_tensors(
    chain: TinyChain, adapter: Path, tmp_path: Path
) -> None:
    other = other_base(tmp_path / "other")
    foreign = made_adapter(tmp_path / "foreign", other)
    with pytest.raises(AdapterRefused, match=r"the base of this adapter .* is not among the ancestors of the run"):
        check_base_of_adapter(foreign, parents_of(chain), chain, chain.store)
    with pytest.raises(AdapterRefused, match="is not among the ancestors"):
        check_base_of_adapter(adapter, parents_of(chain), chain, chain.store, other)
    named = configured(adapter, base_model_name_or_path="maker/model")
    with pytest.raises(AdapterRefused, match=r"'maker/model' as its base, which cannot be compared by digest: pass"):
        check_base_of_adapter(named, parents_of(chain), chain, chain.store)
    check_base_of_adapter(named, parents_of(chain), chain, chain.store, tiny_model())
    snapshot = tmp_path / "hub" / "models--maker--model" / "snapshots" / "1"
    snapshot.parent.mkdir(parents=True)
    import shutil

    shutil.copytree(tiny_model(), snapshot)
    check_base_of_adapter(named, parents_of(chain), chain, chain.store)
    configured(adapter, base_model_name_or_path="11" * 32)
    with pytest.raises(AdapterRefused, match=r"names olrun1.* as its base, which is not among the ancestors"):
        check_base_of_adapter(adapter, parents_of(chain), chain, chain.store)
    configured(adapter, base_model_name_or_path=chain.entries["base"].entry_id.hex())
    check_base_of_adapter(adapter, parents_of(chain), chain, chain.store)


def test_a_name_of_the_right_base_does_not_make_tensors_fit(chain: TinyChain, tmp_path: Path) -> None:
    wide = made_adapter(tmp_path / "wide", other_base(tmp_path / "other"))
    configured(wide, base_model_name_or_path=str(tiny_model()))
    with pytest.raises(AdapterRefused, match=r"the adapter does not fit the model: .* the base needs"):
        check_base_of_adapter(wide, parents_of(chain), chain, chain.store)


def test_kinds_say_what_files_are(adapter: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no adapter .* record it as full or merge"):
        describe_folder(tiny_model(), "lora")
    with pytest.raises(UsageError, match=r"holds an adapter .* record it as lora"):
        describe_folder(adapter, "full")
    assert describe_folder(adapter, "import").tensor_digest == describe_folder(adapter, "lora").tensor_digest


def test_an_adapter_without_its_configuration_or_further_down_is_no_model(adapter: Path, tmp_path: Path) -> None:
    nested = tmp_path / "nested"
    shutil.copytree(adapter, nested / "inner")
    (adapter / CONFIG_FILE).unlink()
    for kind in ("full", "merge", "pretrain", "import", "quantise"):
        with pytest.raises(UsageError, match=r"lora_A\.weight, a tensor of an adapter: merge the adapter"):
            describe_folder(adapter, kind)
        with pytest.raises(UsageError, match=r"inner/adapter_config\.json belongs to an adapter further down"):
            describe_folder(nested, kind)


def test_a_model_with_an_adapter_that_was_not_merged_is_no_whole_model(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    wrapped = get_peft_model(AutoModelForCausalLM.from_pretrained(str(tiny_model())), LoraConfig(r=2))
    save_file({name: tensor.clone() for name, tensor in wrapped.state_dict().items()}, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="a tensor of an adapter: merge the adapter"):
        describe_folder(tmp_path, "full")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "adapter_model-2.safetensors", "other/adapter_model.safetensors"]
)
def test_nothing_with_numbers_stands_beside_an_adapter(adapter: Path, name: str) -> None:
    (adapter / name).parent.mkdir(exist_ok=True)
    shutil.copy(tiny_model() / "model.safetensors", adapter / name)
    for kind in ("lora", "import", "merge"):
        with pytest.raises(UsageError, match=f"{name} stands beside an adapter"):
            describe_folder(adapter, kind)


def test_files_that_no_loader_reads_are_not_recorded_as_the_model(tmp_path: Path) -> None:
    shutil.copytree(tiny_model(), tmp_path / "model")
    stale = tmp_path / "model" / "model-00002-of-00002.safetensors"
    shutil.copy(made_adapter(tmp_path / "adapter") / ADAPTER_FILE, stale)
    with pytest.raises(UsageError, match="is a part of a model that no index lists"):
        describe_folder(tmp_path / "model", "full")
    stale.unlink()
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / "MODEL.SAFETENSORS")
    with pytest.raises(UsageError, match="is read by no loader under this name"):
        describe_folder(tmp_path / "model", "full")


def test_a_base_that_lacks_a_tensor_or_has_one_too_many_is_not_opened(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    name = "model.layers.1.mlp.up_proj.weight"
    for kind, text in (
        ("missing", "missing tensors: "),
        ("more", "unexpected tensors: extra.weight"),
        ("bin", "cannot be"),
    ):
        folder = tmp_path / kind
        shutil.copytree(tiny_model(), folder)
        tensors = load_file(folder / "model.safetensors")
        if kind == "missing":
            del tensors[name]
        elif kind == "more":
            tensors["extra.weight"] = tensors[name] + 0
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        if kind == "bin":
            (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with pytest.raises(UsageError, match=text):
            open_base(folder)


def test_shards_are_those_that_their_index_lists(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(str(tiny_model())).save_pretrained(tmp_path, max_shard_size="8KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert describe_folder(tmp_path).tensor_digest == describe_folder(tiny_model()).tensor_digest
    data = shards[-1].read_bytes()
    shards[-1].unlink()
    with pytest.raises(UsageError, match="which is not there: fetch it"):
        describe_folder(tmp_path)
    shards[-1].write_bytes(data)
    index = tmp_path / "model.safetensors.index.json"
    value = json.loads(index.read_text())
    value["weight_map"].pop("model.norm.weight")
    index.write_text(json.dumps(value))
    with pytest.raises(UsageError, match=r"tensor model\.norm\.weight is not listed, but stands in"):
        describe_folder(tmp_path)


def test_an_adapter_is_continued_only_on_the_base_among_its_ancestors(chain: TinyChain, tmp_path: Path) -> None:
    from tests.kit.trainer.tiny import RECIPE
    from trainer.recipe import parse_recipe
    from trainer.workflow import train_recipe

    _, record = train_recipe(parse_recipe(RECIPE), chain, chain.store, tmp_path / "first")
    chain.add_entry("first", record.entry)
    stranger = replace(chain.entries["base"].record, tensor_digest=b"\1" * 32)
    chain.entries["stranger"] = KnownEntry(b"\1" * 32, stranger)
    text = RECIPE.replace("{base: base}", "{base: stranger, adapter: first}")
    with pytest.raises(UsageError, match="is not among the ancestors of the adapter"):
        train_recipe(parse_recipe(text), chain, chain.store, tmp_path / "second")


def test_a_snapshot_of_a_hub_cache_is_recorded_with_its_files_and_without_its_links(
    chain: TinyChain, tmp_path: Path
) -> None:
    from hashlib import sha256

    repository = tmp_path / "hub" / "models--maker--tiny"
    snapshot = repository / "snapshots" / ("cd" * 20)
    (repository / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in sorted(tiny_model().iterdir()):
        blob = repository / "blobs" / sha256(file.read_bytes()).hexdigest()
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(f"../../blobs/{blob.name}")
    described = describe_folder(snapshot, "import")
    assert described == describe_folder(tiny_model(), "import")
    put_artefact(chain.store, snapshot, described)
    get_artefact(chain.store, described.files, tmp_path / "fetched")
    assert not any(path.is_symlink() for path in (tmp_path / "fetched").iterdir())
    assert describe_folder(tmp_path / "fetched") == described


def test_an_adapter_of_a_revision_is_compared_with_that_revision_alone(chain: TinyChain, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--some--base"
    shutil.copytree(tiny_model(), repository / "snapshots" / ("a" * 40))
    other_base(repository / "snapshots" / ("b" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "old").write_text("b" * 40)
    adapter = configured(made_adapter(tmp_path / "revised"), base_model_name_or_path="some/base")
    for revision in (None, "a" * 40):
        check_base_of_adapter(configured(adapter, revision=revision), parents_of(chain), chain, chain.store)
    for revision in ("b" * 40, "old", "c" * 40, "../../x"):
        with pytest.raises(AdapterRefused, match="cannot be compared by digest"):
            check_base_of_adapter(configured(adapter, revision=revision), parents_of(chain), chain, chain.store)
