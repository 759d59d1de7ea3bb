"""Ways to compute: what they change for a while, and devices that are not there."""

from typing import Any

import pytest
import torch

from attribution.errors import AttributionError
from attribution.lga.calibration_ways import Way, default_ways, device_ways, on_device
from tests.kit.attribution.tiny import tiny_lora

pytestmark = [pytest.mark.ml, pytest.mark.usefixtures("one_thread")]


def test_only_one_way_of_a_device_is_plain_float32_on_the_cpu() -> None:
    assert [way.name for way in device_ways("cpu") if way.plain] == ["float32 on the CPU"]
    assert [way.device for way in device_ways("cpu")] == ["", *["cpu"] * 9]
    assert not any(way.device for way in default_ways())


@pytest.mark.parametrize("device", ["cuda", "toaster", "cuda:99"])
def test_a_device_that_torch_cannot_use_is_refused(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if device.startswith("cuda"):
        monkeypatch.setattr(torch, "zeros", _no_cuda)
    with pytest.raises(AttributionError, match=f"device: torch cannot use '{device}' here .*; leave it out"):
        device_ways(device)


def _no_cuda(*_: Any, device: str) -> None:
    raise AssertionError("Torch not compiled with CUDA enabled")


class Moving(torch.nn.Linear):
    """A model that says where it is sent."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.sent: list[str] = []

    def to(self, device: Any) -> Any:  # type: ignore[override]
        self.sent.append(str(device))
        return self


def test_a_model_is_elsewhere_only_inside_the_block() -> None:
    model = Moving()
    with pytest.raises(KeyError), on_device(model, "cuda"):
        assert model.sent == ["cuda"]
        raise KeyError
    assert model.sent == ["cuda", "cpu"]
    with on_device(model, ""):
        pass
    assert model.sent == ["cuda", "cpu"]


def test_short_products_are_allowed_only_inside_the_block() -> None:
    change = next(way.change for way in device_ways("cpu") if way.name.startswith("short products"))
    assert change is not None
    before = torch.get_float32_matmul_precision()
    with change(None, ()):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


def test_other_kernels_need_a_model_with_a_choice() -> None:
    kernels = [way for way in default_ways() if "attention" in way.name]
    assert len(kernels) == 2
    assert all(way.possible(tiny_lora()) for way in kernels)
    assert not any(way.possible(torch.nn.Linear(2, 2)) for way in kernels)
    assert Way("any").possible(torch.nn.Linear(2, 2))
