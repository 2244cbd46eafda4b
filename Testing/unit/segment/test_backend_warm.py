"""Warm sessions: found again, given back, cancelled, and what is chosen."""

from __future__ import annotations

import threading
import time

import pytest

from medai.core.errors import Cancelled, ChecksumError, DeviceError, ModelError, OutOfMemory
from medai.core.progress import CancelToken
from medai.segment.backends import BACKENDS, warm
from medai.segment.inference.network import NetworkSource
from medai.segment.inference.options import InferenceOptions

torch = pytest.importorskip("torch")
SHAPE = (1, 1, 8, 8, 8)
TORCH = InferenceOptions(backend="torch", device="cpu", precision="f32")
AUTO = InferenceOptions(device="cpu", precision="f32")


@pytest.fixture(autouse=True)
def empty():
    warm.release()
    yield
    warm.release()


class Counting:
    """A source that counts how often it is loaded."""

    def __init__(self, key="k", make=lambda: torch.nn.Conv3d(1, 2, 3, padding=1)):
        self.count = 0
        self.make = make
        self.source = NetworkSource(key, "net", "torch", self.load)

    def load(self, cancel):
        self.count += 1
        return self.make()


def opened(source, shape=SHAPE, options=TORCH, **more):
    return warm.open_session(source, shape, options, reduced=False, cancel=more.pop("cancel", CancelToken()), **more)


def test_the_second_time_nothing_is_loaded():
    network = Counting()
    first, second = opened(network.source), opened(network.source)
    assert network.count == 1
    assert (first.facts["warm"], second.facts["warm"]) == (False, True)
    x = torch.zeros(SHAPE)
    assert torch.equal(first(x), second(x))


def test_another_shape_or_network_is_another_session():
    network, other = Counting(), Counting("other")
    opened(network.source)
    opened(network.source, (2, *SHAPE[1:]))
    opened(other.source)
    assert (network.count, other.count) == (2, 1)
    assert warm.release() == 3


def test_what_is_in_use_survives_a_release():
    network = Counting()
    session = opened(network.source)
    assert warm.release() == 1
    assert session(torch.zeros(SHAPE)).shape == (1, 2, 8, 8, 8)
    opened(network.source)
    assert network.count == 2


def test_only_some_are_kept(monkeypatch):
    monkeypatch.setattr(warm, "MAX_SESSIONS", 2)
    networks = [Counting(str(n)) for n in range(3)]
    for network in networks:
        opened(network.source)
    opened(networks[2].source)
    opened(networks[0].source)
    assert [n.count for n in networks] == [2, 1, 1]


def test_with_little_memory_earlier_networks_go_first(monkeypatch):
    networks = [Counting(str(n)) for n in range(2)]
    opened(networks[0].source)
    monkeypatch.setattr(warm, "SPARE_BYTES", 2**60)
    opened(networks[1].source)
    assert warm.release() == 1


def test_idle_networks_are_given_back(monkeypatch):
    monkeypatch.setattr(warm, "IDLE_SECONDS", 0.3)
    monkeypatch.setattr(warm, "_timer", None)
    opened(Counting().source)
    limit = time.monotonic() + 10
    while warm._kept and time.monotonic() < limit:
        time.sleep(0.05)
    assert not warm._kept


def test_a_cancel_while_loading_returns_at_once_and_drops_what_comes():
    go, finished = threading.Event(), threading.Event()

    def load(cancel):
        go.wait(20)
        finished.set()
        return torch.nn.Conv3d(1, 2, 3, padding=1)

    cancel = CancelToken()
    threading.Timer(0.2, cancel.cancel).start()
    with pytest.raises(Cancelled):
        opened(NetworkSource("slow", "net", "torch", load), cancel=cancel)
    assert not finished.is_set()
    go.set()
    assert finished.wait(10)
    assert warm.release() == 0


def test_errors_of_loading_come_through():
    def load(cancel):
        raise ChecksumError("Wrong.")

    for options in (TORCH, AUTO):
        with pytest.raises(ChecksumError):
            opened(NetworkSource("bad", "net", "torch", load), options=options)
    assert warm.release() == 0


def test_memory_of_earlier_networks_is_used_before_giving_up():
    opened(Counting("first").source)
    attempts = []

    def load(cancel):
        attempts.append(len(warm._kept))
        if warm._kept:
            raise MemoryError
        return torch.nn.Conv3d(1, 2, 3, padding=1)

    with pytest.raises((OutOfMemory, MemoryError)):
        opened(NetworkSource("never", "net", "torch", _always_short))
    opened(Counting("again").source)
    opened(NetworkSource("large", "net", "torch", load))
    assert attempts == [1, 0]


def _always_short(cancel):
    raise MemoryError


def test_threads_share_one_session():
    network = Counting()
    x = torch.randn(SHAPE)
    expected = opened(network.source)(x).clone()
    wrong = []

    def work():
        for _ in range(20):
            if not torch.equal(opened(network.source)(x), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert network.count == 1


def test_another_user_s_call_leaves_a_result_as_it_is():
    """Results of OpenVINO lie in memory that its next call writes to; two runs in two threads take turns."""
    pytest.importorskip("openvino")
    network = Counting()
    options = InferenceOptions(device="cpu", backend="openvino", precision="f32")
    one, other = (opened(network.source, options=options) for _ in range(2))
    x = torch.randn(SHAPE)
    found = one(x)
    expected = found.clone()
    other(-x)
    assert torch.equal(found, expected)
    place = found.data_ptr()
    del one, found
    assert opened(network.source, options=options)(x).data_ptr() == place  # memory of ended users serves again
    assert network.count == 1


class NoOpenVino(torch.nn.Module):
    """An operator that OpenVINO does not have."""

    def forward(self, x):
        y = torch.linalg.eigvalsh(x + x.transpose(-1, -2))
        return x + y[..., None]


def test_a_layer_that_openvino_lacks_runs_in_torch_with_the_reason():
    pytest.importorskip("openvino")
    network = Counting(make=NoOpenVino)
    session = opened(network.source, options=AUTO)
    assert session.facts["backend"] == "torch"
    assert "OpenVINO" in session.facts["fallback"]
    assert opened(network.source, options=AUTO).facts["warm"]
    with pytest.raises(ModelError, match="OpenVINO"):
        opened(network.source, options=InferenceOptions(backend="openvino", precision="f32"))


@pytest.mark.skipif(
    torch.cuda.is_available() or torch.backends.mps.is_available(), reason="needs a machine without GPU"
)
class TestChoiceOnACpu:
    def test_openvino_comes_first(self):
        has = "openvino" in BACKENDS.names()
        choice = warm.choose(InferenceOptions(precision="f32"), "torch", True)
        assert (choice.device, choice.backend, choice.precision) == ("cpu", "openvino" if has else "torch", "f32")

    def test_half_precision_only_where_model_and_processor_allow_it(self):
        assert warm.choose(InferenceOptions(), "torch", False).precision == "f32"
        found = warm.choose(InferenceOptions(), "torch", True)
        if found.backend == "openvino":
            possible = not BACKENDS.get("openvino").precision_reason("cpu", "bf16")
            assert found.precision == ("bf16" if possible else "f32")
        assert warm.choose(InferenceOptions(backend="torch"), "torch", True).precision == "f32"

    def test_dropout_runs_in_torch(self):
        assert warm.choose(InferenceOptions(), "torch", True, dropout=True).backend == "torch"

    @pytest.mark.parametrize(
        ("wish", "reason"),
        [
            ({"device": "cuda"}, "CUDA"),
            ({"device": "mps"}, "Apple"),
            ({"precision": "f16"}, "slower"),
            ({"backend": "onnxruntime"}, "onnxruntime"),
            ({"backend": "openvino", "device": "cuda"}, "openvino"),
        ],
    )
    def test_a_wish_that_cannot_be_met_is_refused_with_the_reason(self, wish, reason):
        with pytest.raises(DeviceError, match=reason):
            warm.choose(InferenceOptions(**wish), "torch", True)

    def test_onnx_needs_a_library_for_it(self):
        with pytest.raises(DeviceError, match="onnx"):
            warm.choose(InferenceOptions(backend="torch"), "onnx", True)
