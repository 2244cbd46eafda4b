"""What the backends compute: the same as torch in float64, in the precision that was asked for."""

from __future__ import annotations

import copy

import pytest

from medai.core.errors import DeviceError, ModelError, OutOfMemory
from medai.core.progress import CancelToken
from medai.segment.backends import BACKENDS
from medai.segment.inference.network import NetworkSource

torch = pytest.importorskip("torch")
SHAPE = (1, 1, 32, 32, 32)


class Small(torch.nn.Module):
    """Two levels with instance normalisation and a skip, as in a U-Net."""

    def __init__(self, conv=torch.nn.Conv3d, norm=torch.nn.InstanceNorm3d, up="trilinear", p=0.0):
        super().__init__()
        self.a = torch.nn.Sequential(conv(1, 8, 3, padding=1), norm(8, affine=True), torch.nn.LeakyReLU(0.01))
        self.b = torch.nn.Sequential(conv(8, 16, 3, 2, 1), norm(16, affine=True), torch.nn.LeakyReLU(0.01))
        self.drop = torch.nn.Dropout(p)
        self.c = conv(24, 3, 1)
        self.up = up

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.a(x)
        b = torch.nn.functional.interpolate(self.b(a), scale_factor=2.0, mode=self.up)
        return self.c(self.drop(torch.cat([a, b], 1)))


class SizeBound(torch.nn.Module):
    """Decides by a size in Python, so that a graph traced at another size would be wrong."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 2, 3, padding=1)

    def forward(self, x):
        return self.conv(x) * (100.0 if x.shape[-1] >= 32 else 1.0)


class Unlucky(torch.nn.Module):
    def forward(self, x):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")


class Flat(torch.nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3, 4))


def source(module, key="k", kind="torch"):
    return NetworkSource(key, "net", kind, lambda cancel: module)


def opened(backend, module, shape=SHAPE, precision="f32", dropout=False, kind="torch"):
    pytest.importorskip(backend)
    torch.manual_seed(0)
    return BACKENDS.create(backend).open(
        source(module, kind=kind), shape, device="cpu", precision=precision, dropout=dropout, cancel=CancelToken()
    )


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def image():
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@pytest.mark.parametrize("shape", [SHAPE, (2, 1, 24, 32, 40), (1, 1, 33, 31, 35 - 1)])
def test_f32_is_f32(backend, shape):
    torch.manual_seed(0)
    net = Small(up="nearest").eval() if shape[2] % 2 == 0 else Small().a.eval()
    image = torch.randn(shape)
    with torch.inference_mode():
        exact = copy.deepcopy(net).double()(image.double())
    found = opened(backend, net, shape)(image)
    assert found.shape == exact.shape
    assert (found - exact).abs().max() < 3e-5 * exact.abs().max()


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_bf16_is_bf16_where_the_processor_has_it(backend, net, image):
    cls = pytest.importorskip(backend) and BACKENDS.get(backend)
    if cls.precision_reason("cpu", "bf16"):
        with pytest.raises(DeviceError, match="bf16"):
            opened(backend, net, precision="bf16")
        return
    with torch.inference_mode():
        exact = copy.deepcopy(net).double()(image.double())
    session = opened(backend, net, precision="bf16")
    difference = (session(image).double() - exact).abs().max() / exact.abs().max()
    assert 1e-4 < difference < 3e-2
    assert session.facts["precision"] == "bf16"


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_two_dimensional_networks(backend):
    torch.manual_seed(0)
    net = Small(torch.nn.Conv2d, torch.nn.InstanceNorm2d, "bilinear").eval()
    image = torch.randn(4, 1, 32, 48)
    with torch.inference_mode():
        expected = net(image)
    found = opened(backend, net, (4, 1, 32, 48))(image)
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_part_of_a_batch_gives_the_part_of_the_result(net):
    images = torch.randn(3, 1, 32, 32, 32)
    session = opened("openvino", net, (3, 1, 32, 32, 32))
    whole = session(images).clone()
    assert torch.equal(session(images[:2]), whole[:2])


def test_scripted_modules_run_in_both(image):
    net = torch.jit.trace(Small(up="nearest").eval(), image, check_trace=False)
    with torch.inference_mode():
        expected = net(image)
    for backend in ("torch", "openvino"):
        pytest.importorskip(backend)
        assert torch.allclose(opened(backend, net, kind="torchscript")(image), expected, atol=1e-4)


def test_what_depends_on_the_size_is_traced_at_the_size(image):
    torch.manual_seed(0)
    net = SizeBound().eval()
    with torch.inference_mode():
        expected = net(image)
    assert torch.allclose(opened("openvino", net)(image), expected, atol=1e-3)


def test_only_dropout_layers_become_random(image):
    torch.manual_seed(0)
    net = Small(norm=torch.nn.BatchNorm3d, p=0.5).eval()
    still = opened("torch", net)
    assert torch.equal(still(image), still(image))
    session = opened("torch", net, dropout=True)
    assert not torch.equal(session(image), session(image))
    mean = net.a[1].running_mean.clone()
    session(image)
    assert torch.equal(net.a[1].running_mean, mean)
    assert not net.a[1].training


def test_dropout_without_dropout_layers_is_refused(net):
    with pytest.raises(ModelError, match="no dropout"):
        opened("torch", net, dropout=True)
    with pytest.raises(DeviceError, match="dropout"):
        opened("openvino", net, dropout=True)


def test_memory_errors_have_one_name(image):
    with pytest.raises(OutOfMemory, match="cpu"):
        opened("torch", Unlucky())(image)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_what_is_no_segmentation_network_is_refused(backend, image):
    with pytest.raises(ModelError):
        opened(backend, Flat())(image)


@pytest.mark.parametrize(("size", "scripted"), [((31, 32, 32), False), ((2, 2, 2), False), ((31, 32, 32), True)])
def test_a_window_that_does_not_suit_the_network_is_refused_by_its_size(net, size, scripted):
    """Row 38: neither an unexpected error nor a program's lines."""
    kind = "torchscript" if scripted else "torch"
    session = opened("torch", torch.jit.script(net) if scripted else net, (1, 1, *size), kind=kind)
    with pytest.raises(ModelError, match=" x ".join(map(str, size))) as caught:
        session(torch.zeros(1, 1, *size))
    assert "Traceback" not in caught.value.message
    assert "\n" not in caught.value.message


def test_of_several_outputs_the_first_counts(net, image):
    class Deep(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            y = self.net(x)
            return [y, y[:, :, ::2, ::2, ::2]]

    with torch.inference_mode():
        expected = net(image)
    for backend in ("torch", "openvino"):
        pytest.importorskip(backend)
        assert torch.allclose(opened(backend, Deep().eval())(image), expected, atol=1e-4)


def test_facts_can_be_written_down(net):
    import json

    for backend in ("torch", "openvino"):
        pytest.importorskip(backend)
        facts = opened(backend, net).facts
        assert json.loads(json.dumps(facts)) == facts
        assert {"backend", "version", "device", "device_name", "precision", "threads"} <= set(facts)


def test_a_cancel_stops_loading(net):
    cancel = CancelToken()
    cancel.cancel()
    from medai.core.errors import Cancelled

    for backend in ("torch", "openvino"):
        pytest.importorskip(backend)
        with pytest.raises(Cancelled):
            BACKENDS.create(backend).open(
                source(net), SHAPE, device="cpu", precision="f32", dropout=False, cancel=cancel
            )


def test_openvino_sends_no_usage_events():
    pytest.importorskip("openvino")
    import subprocess
    import sys

    code = (
        "from medai.segment.backends._openvino import core; core(); import sys; "
        "print([m for m in sys.modules if m.startswith('openvino_telemetry') and sys.modules[m] is not None])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_f32_on_cuda_does_not_become_tf32_and_nothing_stays_switched(net, monkeypatch):
    """The switches are torch's, for the whole process; they exist without a GPU too."""
    session = opened("torch", net)
    monkeypatch.setattr(session, "_device", "cuda")
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    with session._numbers():
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.enabled
        assert torch.backends.cudnn.benchmark
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == before
