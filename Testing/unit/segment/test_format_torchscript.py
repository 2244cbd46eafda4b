"""TorchScript archives: what is loaded, and what is refused before torch sees it."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest

from medai.core.errors import ChecksumError, ManifestError, ModelError, UnsafeModel
from medai.core.progress import CancelToken
from medai.segment.formats import FORMATS
from medai.segment.formats._torchscript_archive import check_archive
from medai.segment.models.reading import read_model

torch = pytest.importorskip("torch")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class Writer(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "canary.bin")
        return x


class Reader(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_file("canary.bin", shared=True, size=4) + x


def archive_of(module) -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(module.eval()), stream)
    return stream.getvalue()


def folder_with(folder: Path, data: bytes, **change) -> Path:
    (folder / "net.ts").write_bytes(data)
    entry = {"path": "net.ts", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    words = dict.fromkeys(("title", "summary", "intended_use", "training_data", "licence"), "x")
    manifest = {
        "format": "torchscript",
        "id": "net",
        "version": "1.0.0",
        "description": {**words, "limits": ["x"]},
        "network": {"name": "torchscript"},
        "prepare": {},
        "window": [8, 8, 8],
        "labels": [{"label": 1, "name": "A"}],
        "weights": [{**entry, **change}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def source_of(folder: Path):
    return FORMATS.create("torchscript").networks(read_model(folder))[0]


@pytest.fixture
def trusted(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "medai.segment.formats.torchscript.require_trust", lambda sha256, what: asked.append((sha256, what))
    )
    return asked


def test_a_trusted_archive_gives_what_the_module_gives(tmp_path, trusted):
    net = Net()
    data = archive_of(net)
    source = source_of(folder_with(tmp_path, data))
    x = torch.randn(1, 1, 8, 8, 8)
    assert torch.equal(source.load(CancelToken())(x), net.eval()(x))
    assert source.kind == "torchscript"
    assert trusted[0][0] == hashlib.sha256(data).hexdigest()


def test_untrusted_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("medai.segment.models.trust.user_root", lambda: tmp_path / "store")
    with pytest.raises(UnsafeModel, match=r"net\.ts"):
        source_of(folder_with(tmp_path, archive_of(Net()))).load(CancelToken())


@pytest.mark.parametrize("module", [Writer(), Reader()])
def test_file_operators_are_refused_even_when_trusted(tmp_path, trusted, module, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafeModel, match=r"torch\.(save|from_file)|'ops"):
        source_of(folder_with(tmp_path, archive_of(module))).load(CancelToken())
    assert not (tmp_path / "canary.bin").exists()


def test_changed_bytes_are_refused(tmp_path, trusted):
    folder = folder_with(tmp_path, archive_of(Net()), sha256="0" * 64)
    with pytest.raises(ChecksumError):
        source_of(folder).load(CancelToken())


def test_a_state_dict_is_no_torchscript():
    stream = io.BytesIO()
    torch.save(Net().state_dict(), stream)
    with pytest.raises(ModelError, match="no code"):
        check_archive(stream.getvalue(), "w.pt")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 broken", b"x" * 100])
def test_rubbish_is_no_torchscript(data):
    with pytest.raises(ModelError):
        check_archive(data, "w.pt")


class Evil:
    def __reduce__(self):
        return (print, ("canary",))


def changed(data: bytes, **members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        prefix = old.namelist()[0].partition("/")[0]
        extra = {f"{prefix}/{name.replace('__', '.')}": value for name, value in members.items()}
        for name in old.namelist():
            if name not in extra:
                new.writestr(name, old.read(name))
        for name, value in extra.items():
            new.writestr(name, value)
    return out.getvalue()


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_calls_something_is_refused(protocol):
    with pytest.raises(UnsafeModel, match="pickle"):
        check_archive(changed(archive_of(Net()), data__pkl=pickle.dumps(Evil(), protocol)), "w.pt")


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (b"import os\n", "os"),
        (b"def f(x):\n  return ops.mylib.run(x)\n", "mylib"),
        (b"def f(x):\n  ops.aten.save(x, 'a')\n", "save"),
        (b"def f(x):\n  y = __torch__.torch.classes.a.B(x)\n", "classes"),
        (b"def f(x):\n  a = torch\n  a.save(x, 'a')\n", "save"),
        (b"def f(x):\n  getattr(torch, 'save')(x, 'a')\n", "torch.save"),
        (b"def f(x):\n  a = torch.autograd\n  a.save(x, 'a')\n", "save"),
        (b"def f(x):\n  x.save('a')\n", "save"),
        (b"def f(x):\n  a = ops\n  a.mylib.run(x)\n", "another name"),
        (b"def f(x):\n  getattr(ops, 'mylib').run(x)\n", "mylib"),
        (b"def f(x):\n  a = __torch__.torch\n  a.classes.b.C(x)\n", "another name"),
        (b"def f(:\n", "cannot be read"),
    ],
)
def test_code_is_read_before_it_is_loaded(code, what):
    data = archive_of(Net())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".py"))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            new.writestr(member, code if member == name else old.read(member))
    with pytest.raises(UnsafeModel, match=what):
        check_archive(out.getvalue(), "w.pt")


@pytest.mark.parametrize("rename", [("__torch__.py", "__torch__.PY"), ("/code/__torch__.py", "/CODE/__Torch__.pY")])
def test_torch_finds_code_whatever_its_name_s_case_and_so_does_the_check(rename, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive_of(Writer()))) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            new.writestr(member.replace(*rename), old.read(member))
        new.writestr(member.partition("/")[0] + "/code/note.txt", b"x")
    with pytest.raises(UnsafeModel, match="save"):
        check_archive(out.getvalue(), "w.pt")
    torch.jit.load(io.BytesIO(out.getvalue()))(torch.ones(1))  # it would have written
    assert (tmp_path / "canary.bin").exists()


def test_layers_with_odd_names_are_allowed():
    layers = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Dropout(0.1)))
    data = archive_of(layers)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert any(b"getattr(self" in archive.read(name) for name in archive.namelist())
    check_archive(data, "w.pt")


def test_without_a_manifest_a_template_is_shown(tmp_path):
    file = tmp_path / "net.ts"
    file.write_bytes(archive_of(Net()))
    fmt = FORMATS.create("torchscript")
    assert fmt.recognise(file)
    assert not fmt.recognise(tmp_path)
    with pytest.raises(ManifestError, match=r"manifest\.json beside it") as error:
        fmt.describe(file, cancel=CancelToken())
    text = error.value.hint
    assert json.loads(text[text.index("{") :])["weights"][0]["path"] == "net.ts"


def test_the_manifest_beside_a_file_is_its_description(tmp_path):
    folder = folder_with(tmp_path, archive_of(Net()))
    fmt = FORMATS.create("torchscript")
    assert fmt.describe(folder / "net.ts", cancel=CancelToken()) == read_model(folder).manifest
    (folder / "other.ts").write_bytes(b"x")
    with pytest.raises(ManifestError, match=r"other\.ts"):
        fmt.describe(folder / "other.ts", cancel=CancelToken())


def test_channels_in_another_order_are_refused_not_passed_over(tmp_path):
    folder = folder_with(tmp_path, archive_of(Net()))
    file = folder / "manifest.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**content, "inference": {"order": [1, 0]}}), encoding="utf-8")
    with pytest.raises(ManifestError, match=r"inference\.order"):
        FORMATS.create("torchscript").describe(folder / "net.ts", cancel=CancelToken())
