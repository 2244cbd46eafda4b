"""The store: installing, checking and removing models, with nothing left behind when that fails."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from medai.core.errors import (
    Cancelled,
    ChecksumError,
    ManifestError,
    ModelError,
    OutputError,
    UnsafeModel,
)
from medai.core.registry import Registry
from medai.segment.formats import ModelFormat
from medai.segment.models import ModelStore, is_trusted, shipped_roots
from medai.segment.models.licence import acceptances, needs_acceptance
from medai.segment.models.origin import read_origin

WEIGHTS = bytes(range(256)) * 5000


def listing(root):
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*")) if root.exists() else None


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data" / "models"


@pytest.fixture
def store(root):
    return ModelStore(user=root)


@pytest.fixture
def folder(tmp_path):
    """A model folder with the hippocampus' manifest and other bytes as weights: the store never loads a network."""
    shipped = ModelStore().find("hippocampus").folder
    value = json.loads((shipped / "manifest.json").read_text("utf-8"))
    value["id"] = "mine"
    return write_model(tmp_path / "given" / "mine", value, WEIGHTS)


def write_model(new, value, weights):
    new.mkdir(parents=True)
    value["weights"] = {"path": "w.safetensors", "bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}
    (new / "w.safetensors").write_bytes(weights)
    (new / "manifest.json").write_text(json.dumps(value), "utf-8")
    (new / "LICENSE").write_text("Do as you like.", "utf-8")
    (new / "patient-prediction.nii.gz").write_bytes(b"not part of the model")
    return new


def edit(folder, change):
    file = folder / "manifest.json"
    value = json.loads(file.read_text("utf-8"))
    change(value)
    file.write_text(json.dumps(value), "utf-8")


def zipped(folder, path, inside="", hide=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{inside}{file.name}")
    return path


@pytest.fixture
def web(tmp_path):
    """A local server of the folder ``web``; gives its address."""
    (tmp_path / "web").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path / "web"))

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def catalogue(root, *entries):
    root.mkdir(parents=True, exist_ok=True)
    base = {"title": "From the web", "summary": "For tests.", "format": "medai", "licence": "MIT", "modality": "MR"}
    (root / "catalogue.json").write_text(json.dumps({"entries": [{**base, **entry} for entry in entries]}), "utf-8")


# installing from what is on disk


def test_a_folder_is_installed_checked_listed_and_removed(store, root, folder):
    seen = []
    model = store.install(folder, progress=lambda fraction, text: seen.append(fraction))
    assert (model.id, model.folder) == ("mine", root / "mine")
    assert listing(root) == [
        "mine", "mine/LICENSE", "mine/installed.json", "mine/manifest.json", "mine/w.safetensors",
    ]  # fmt: skip
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert store.verify("mine") == []
    assert store.disk_use("mine") == sum(p.stat().st_size for p in (root / "mine").iterdir())
    assert {m.id for m in store.list()} == {"mine", "hippocampus"}
    origin = read_origin(model.folder)
    assert (origin.kind, origin.name) == ("folder", "mine")
    assert str(folder.parent) not in (model.folder / "installed.json").read_text("utf-8")
    store.remove("mine")
    assert listing(root) is None or listing(root) == []
    assert folder.is_dir()


def test_a_real_model_is_the_same_after_it_was_installed(tiny_model, store):
    from medai.segment.models import load_network, read_model, unload_networks

    torch = pytest.importorskip("torch")
    unload_networks()
    before = {name: value.clone() for name, value in load_network(read_model(tiny_model)).state_dict().items()}
    unload_networks()
    after = load_network(store.install(tiny_model)).state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())


@pytest.mark.parametrize("inside", ["", "mine/", "a/b/mine/"])
def test_an_archive_is_installed_wherever_the_model_lies_in_it(store, root, folder, tmp_path, inside):
    archive = zipped(folder, tmp_path / "m.zip", inside)
    model = store.install(archive)
    assert store.verify("mine") == []
    origin = read_origin(model.folder)
    assert (origin.kind, origin.name) == ("file", "m.zip")
    assert origin.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert listing(root)[0] == "mine"
    assert not any("medai-w" in name for name in listing(root))


def test_an_archive_that_leaves_its_folder_leaves_nothing(store, root, tmp_path):
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("manifest.json", "{}")
        opened.writestr("../../evil", "x")
    with pytest.raises(ModelError, match="leaves the folder"):
        store.install(archive)
    assert listing(root) is None
    assert not list(tmp_path.rglob("evil"))


def test_an_archive_without_or_with_several_models_is_refused(store, root, folder, tmp_path):
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as opened:
        opened.writestr("readme.txt", "hello")
    with pytest.raises(ModelError, match="no model that MedAI knows") as caught:
        store.install(empty)
    assert "manifest.json" in caught.value.hint
    both = tmp_path / "both"
    shutil.copytree(folder, both / "one")
    shutil.copytree(folder, both / "two")
    with pytest.raises(ModelError, match="2 models in one: one, two"):
        store.install(both)
    assert listing(root) is None


def test_another_id_is_the_models_id_from_then_on(store, folder):
    assert store.install(folder, id="other-name").id == "other-name"
    assert store.find("other-name").manifest.id == "other-name"
    for bad in ("../x", "Upper", "con", "a" * 64, "", ".x"):
        with pytest.raises(ModelError, match="cannot be a model's id"):
            store.install(folder, id=bad)


def test_the_same_again_changes_nothing_and_another_needs_a_word(store, root, folder):
    store.install(folder)
    stamp = (root / "mine" / "manifest.json").stat().st_mtime_ns
    assert store.install(folder).id == "mine"
    assert (root / "mine" / "manifest.json").stat().st_mtime_ns == stamp
    value = json.loads((folder / "manifest.json").read_text("utf-8"))
    other = write_model(folder.parent / "other", value, WEIGHTS[::-1])
    before = listing(root)
    with pytest.raises(ModelError, match="Another model is installed as 'mine'"):
        store.install(other)
    assert (root / "mine" / "w.safetensors").read_bytes() == WEIGHTS
    store.install(other, replace=True)
    assert (root / "mine" / "w.safetensors").read_bytes() == WEIGHTS[::-1]
    assert listing(root) == before


def test_a_process_killed_while_replacing_does_not_lose_the_old_model(store, root, folder):
    store.install(folder)
    (root / "mine").rename(root / ".old-mine")
    assert "mine" not in [m.id for m in store.list()]
    assert store.install(folder).id == "mine"
    assert [name for name in listing(root) if "/" not in name] == ["mine"]


def test_a_model_that_comes_with_medai_is_not_hidden_by_accident(store, folder, root):
    edit(folder, lambda m: m.update(id="hippocampus"))
    with pytest.raises(ModelError, match="comes with MedAI"):
        store.install(folder)
    assert listing(root) is None
    store.install(folder, replace=True)
    assert store.find("hippocampus").folder == root / "hippocampus"
    store.remove("hippocampus")
    assert store.find("hippocampus").folder.parent in shipped_roots()
    with pytest.raises(ModelError, match="comes with MedAI and cannot be removed"):
        store.remove("hippocampus")


# row 43: files that are not as their manifest says


def test_changed_weights_are_refused_and_explicit_trust_is_recorded_and_shown(store, root, folder):
    changed = WEIGHTS[:-1] + b"!"
    (folder / "w.safetensors").write_bytes(changed)
    digest = hashlib.sha256(changed).hexdigest()
    with pytest.raises(ChecksumError, match=r"w\.safetensors has .* its manifest says"):
        store.install(folder)
    assert listing(root) is None
    model = store.install(folder, trust=True)
    assert model.manifest.weights[0].sha256 == digest
    assert is_trusted(digest, root)
    assert read_origin(model.folder).trusted
    assert store.verify("mine") == []


def test_verify_names_every_file_that_is_not_as_it_was(store, root, folder):
    store.install(folder)
    file = root / "mine" / "w.safetensors"
    file.write_bytes(WEIGHTS[:-1] + b"!")
    assert ["SHA-256" in text for text in store.verify("mine")] == [True]
    file.write_bytes(WEIGHTS[:-1])
    assert ["bytes" in text for text in store.verify("mine")] == [True]
    file.unlink()
    assert store.verify("mine") == ["w.safetensors is missing."]


@pytest.mark.parametrize("kind", ["missing", "empty", "folder", "fifo"])
def test_files_that_cannot_be_taken_are_refused(store, root, folder, kind):
    file = folder / "w.safetensors"
    file.unlink()
    if kind == "empty":
        file.write_bytes(b"")
    elif kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no named pipes here")
        os.mkfifo(file)
    with pytest.raises(ChecksumError, match=r"w\.safetensors"):
        store.install(folder, trust=True)
    assert listing(root) is None


def test_a_manifest_that_is_broken_leaves_nothing(store, root, folder):
    edit(folder, lambda m: m.update(surprise=1))
    with pytest.raises(ManifestError, match="surprise"):
        store.install(folder)
    edit(folder, lambda m: (m.pop("surprise"), m.update(format="unheard_of")))
    with pytest.raises(ManifestError, match="no model format called 'unheard_of'"):
        store.install(folder)
    assert listing(root) is None


# formats


@pytest.fixture
def formats(tmp_path, monkeypatch):
    """A registry with one format, found as the real one is: a file ending in .toy that carries a program."""
    package = tmp_path / "packages" / "toy_formats"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "toy.py").write_text(
        "import hashlib\n"
        "from medai.segment.formats import ModelFormat\n"
        "from medai.segment.manifest import Manifest\n"
        "from medai.segment.models import ModelStore\n"
        "class Toy(ModelFormat):\n"
        "    name, title, looks_for, needs_trust = 'toy', 'Toy', 'a file that ends in .toy', True\n"
        "    def recognise(self, path):\n"
        "        return path.suffix == '.toy' and path.is_file()\n"
        "    def describe(self, path, *, cancel):\n"
        "        data = path.read_bytes()\n"
        "        value = ModelStore().find('hippocampus').manifest.to_dict()\n"
        "        entry = {'path': path.name, 'bytes': len(data), 'sha256': hashlib.sha256(data).hexdigest()}\n"
        "        return Manifest.parse({**value, 'id': path.stem, 'format': 'toy', 'weights': [entry]})\n"
        "    def networks(self, model):\n"
        "        return ()\n"
    )
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setattr("medai.segment.formats.FORMATS", Registry("model format", "toy_formats", ModelFormat))


def test_a_foreign_file_gets_a_manifest_and_needs_trust(formats, store, root, tmp_path):
    file = tmp_path / "net.toy"
    file.write_bytes(b"a program")
    digest = hashlib.sha256(b"a program").hexdigest()
    assert store.find(str(file)).folder == tmp_path
    with pytest.raises(UnsafeModel, match=f"Nobody has trusted the toy model 'net' yet .*{digest[:12]}"):
        store.install(file)
    assert listing(root) is None
    model = store.install(file, trust=True)
    written = json.loads((model.folder / "manifest.json").read_text("utf-8"))
    assert (written["format"], written["weights"][0]["sha256"]) == ("toy", digest)
    assert is_trusted(digest, root)
    store.remove("net")
    assert store.install(file).id == "net", "what was trusted once is trusted under any name"
    file.write_bytes(b"another program")
    with pytest.raises(UnsafeModel):
        store.install(file, id="net-two")


def test_a_foreign_file_inside_an_archive_or_a_folder_is_found(formats, store, tmp_path):
    given = tmp_path / "download" / "v1"
    given.mkdir(parents=True)
    (given / "net.toy").write_bytes(b"a program")
    (given / "notes.txt").write_text("hello")
    store.install(given.parent, trust=True)
    store.install(zipped(given, tmp_path / "a.zip", "v1/"), id="zipped")
    assert store.verify("net") == store.verify("zipped") == []


def test_what_nothing_recognises_is_told_what_is_looked_for(formats, store, root, tmp_path):
    other = tmp_path / "other.bin"
    other.write_bytes(b"?")
    for ask in (store.find, store.install):
        with pytest.raises(ModelError, match=r"no model that MedAI knows") as caught:
            ask(str(other))
        assert "a file that ends in .toy" in caught.value.hint
        assert str(tmp_path) not in str(caught.value)
    with pytest.raises(ModelError, match="no model folder or file 'gone'"):
        store.find(str(tmp_path / "gone"))
    assert listing(root) is None


# licences


def test_which_licences_need_a_word():
    assert not needs_acceptance("Apache-2.0", downloaded=True)
    assert not needs_acceptance("My own", downloaded=False)
    assert needs_acceptance("My own", downloaded=True)
    for limited in ("CC-BY-NC-4.0", "cc_by_nc_sa", "Non-commercial use only", "Academic", "for research only"):
        assert needs_acceptance(limited, downloaded=False), limited


def test_a_licence_that_limits_use_must_be_accepted_once(store, root, folder):
    edit(folder, lambda m: m["description"].update(licence="CC-BY-NC-4.0"))
    with pytest.raises(ModelError, match=r"'CC-BY-NC-4\.0', which has not been accepted") as caught:
        store.install(folder)
    assert caught.value.code == "LICENCE"
    assert "--accept-licence" in caught.value.hint
    assert listing(root) is None
    store.install(folder, accept_licence=True)
    (record,) = acceptances(root)
    assert (record.model, record.licence, record.version) == ("mine", "CC-BY-NC-4.0", "1.0.0")
    assert record.text_sha256 == hashlib.sha256(b"Do as you like.").hexdigest()
    store.remove("mine")
    store.install(folder)
    store.remove("mine")
    (folder / "LICENSE").write_text("Do as I like.", "utf-8")
    with pytest.raises(ModelError, match="not been accepted"):
        store.install(folder)


# from the web


def test_a_catalogue_entry_is_loaded_checked_and_installed(store, root, folder, tmp_path, web):
    archive = zipped(folder, tmp_path / "web" / "m.zip", "Dataset1/mine/")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    catalogue(root, {"id": "web-model", "url": f"{web}/m.zip", "sha256": digest, "bytes": archive.stat().st_size})
    model = store.install("web-model")
    assert (model.id, model.title) == ("web-model", "From the web")
    assert model.manifest.description.licence == "MIT"
    assert read_origin(model.folder).sha256 == digest
    assert store.verify("web-model") == []
    assert [n for n in listing(root) if "/" not in n] == ["catalogue.json", "downloads.json", "web-model"]


def test_a_wrong_checksum_of_the_catalogue_leaves_nothing(store, root, folder, tmp_path, web):
    zipped(folder, tmp_path / "web" / "m.zip")
    catalogue(root, {"id": "web-model", "url": f"{web}/m.zip", "sha256": "0" * 64})
    with pytest.raises(ChecksumError, match="expected 0000"):
        store.install("web-model")
    assert listing(root) == ["catalogue.json"]


def test_an_address_that_gives_another_file_than_before_is_refused(store, root, folder, tmp_path, web):
    zipped(folder, tmp_path / "web" / "m.zip")
    store.install(f"{web}/m.zip", accept_licence=True)
    store.remove("mine")
    (folder / "LICENSE").write_text("Changed.", "utf-8")
    zipped(folder, tmp_path / "web" / "m.zip")
    with pytest.raises(ChecksumError, match="The address gave a file with SHA-256"):
        store.install(f"{web}/m.zip", accept_licence=True)
    store.install(f"{web}/m.zip", accept_licence=True, trust=True)


def test_a_licence_is_asked_for_before_anything_is_loaded(store, root, tmp_path, web):
    catalogue(root, {"id": "web-model", "url": f"{web}/gone.zip", "licence": "CC-BY-NC-4.0"})
    with pytest.raises(ModelError, match=r"CC-BY-NC-4\.0") as caught:
        store.install("web-model")
    assert caught.value.code == "LICENCE"
    with pytest.raises(ModelError, match="404"):
        store.install("web-model", accept_licence=True)
    assert listing(root) == ["catalogue.json"]


def test_an_entry_that_cannot_run_is_not_loaded(store, root, web):
    with pytest.raises(ModelError, match="DiNTS is not one that MedAI builds"):
        store.install("monai-pancreas-ct-dints-segmentation")
    with pytest.raises(ModelError, match="nothing to install called 'no-such-thing'"):
        store.install("no-such-thing")
    assert listing(root) is None


# two at once, cancel, disks


def test_two_installs_of_one_id_at_once(store, root, folder):
    inside, go_on, failures = threading.Event(), threading.Event(), []

    def wait_inside(fraction, text):
        if text.startswith("storing"):
            inside.set()
            go_on.wait(20)

    def first():
        try:
            store.install(folder, progress=wait_inside)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(20)
    with pytest.raises(OutputError, match=rf"the model 'mine': process {os.getpid()} on .*, since \d{{4}}-") as caught:
        store.install(folder)
    assert caught.value.code == "BUSY"
    go_on.set()
    thread.join(20)
    assert not failures
    assert [n for n in listing(root) if "/" not in n] == ["mine"]


def test_a_lock_of_a_dead_process_is_no_obstacle(store, root, folder):
    (root / ".locks").mkdir(parents=True)
    (root / ".locks" / "model-mine.lock").write_text("process 1 on nowhere, since long ago")
    store.install(folder)
    assert [n for n in listing(root) if "/" not in n] == ["mine"]


KILLED = """
import sys, time
from medai.segment.models import ModelStore

def progress(fraction, text):
    if text.startswith("storing"):
        print("inside", flush=True)
        time.sleep(60)

ModelStore(user=sys.argv[1]).install(sys.argv[2], progress=progress)
"""


def test_what_a_killed_process_left_is_removed_by_the_next(store, root, folder):
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(root), str(folder)], stdout=subprocess.PIPE)
    assert child.stdout.readline().strip() == b"inside"
    with pytest.raises(OutputError, match=f"process {child.pid} on "):
        store.install(folder)
    child.kill()
    child.communicate(timeout=30)
    assert "mine" not in [m.id for m in store.list()]
    assert any(name.startswith("medai-w-") for name in listing(root))
    store.install(folder)
    assert [n for n in listing(root) if "/" not in n] == ["mine"]


@pytest.mark.parametrize("name", ["m\u00f6del \u4e2d with spaces", "-leading", "a" * 200])
def test_folders_of_any_name_are_installed(store, folder, tmp_path, name):
    moved = folder.rename(tmp_path / name)
    assert store.install(str(moved)).id == "mine"
    assert store.verify("mine") == []


@pytest.mark.parametrize("source", ["folder", "archive", "web"])
def test_cancel_at_any_moment_leaves_nothing(store, root, folder, tmp_path, web, source, cancel_at_poll):
    archive = zipped(folder, tmp_path / "web" / "m.zip")
    given = {"folder": folder, "archive": archive, "web": f"{web}/m.zip"}[source]
    counter = cancel_at_poll(-1)
    store.install(given, accept_licence=True, cancel=counter)
    store.remove("mine")
    shutil.rmtree(root)
    assert counter.polls >= 4
    stopped = 0
    for number in range(1, counter.polls + 1):
        try:
            store.install(given, accept_licence=True, cancel=cancel_at_poll(number))
        except Cancelled:
            stopped += 1
            assert listing(root) is None, f"left after poll {number}"
        else:  # a download polls while it waits: fewer times on another day
            assert source == "web"
            shutil.rmtree(root)
    assert stopped >= 4


def test_a_folder_that_cannot_be_used_is_said_before_anything_else(tmp_path, folder):
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "models"):
        with pytest.raises(OutputError):
            ModelStore(user=place).install(folder)
    assert (tmp_path / "file").read_text() == "x"


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_leaves_nothing(small_disk, folder):
    with pytest.raises(OutputError, match="disk is full") as caught:
        ModelStore(user=small_disk / "models").install(folder)
    assert str(small_disk) not in str(caught.value)
    assert listing(small_disk) == []


def test_a_read_only_disk_is_refused(small_disk, folder):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match="read-only"):
        ModelStore(user=small_disk / "models").install(folder)


# removing, and what is never followed


def test_a_link_is_removed_and_not_what_it_leads_to(store, root, folder):
    root.mkdir(parents=True)
    try:
        (root / "mine").symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("links are not allowed here")
    assert store.find("mine").id == "mine"
    store.remove("mine")
    assert listing(root) in (None, [])
    assert (folder / "w.safetensors").read_bytes() == WEIGHTS


def test_links_inside_a_model_are_removed_and_not_what_they_lead_to(store, root, folder, tmp_path):
    store.install(folder)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    try:
        (root / "mine" / "link").symlink_to(tmp_path / "precious", target_is_directory=True)
    except OSError:
        pytest.skip("links are not allowed here")
    assert store.disk_use("mine") < len(WEIGHTS) + 100_000
    store.remove("mine")
    assert (tmp_path / "precious" / "file").read_text() == "x"


@pytest.mark.parametrize("name", ["..", ".", "../given/mine", "", "nope", ".locks", "given"])
def test_only_a_model_of_the_user_is_removed(store, folder, tmp_path, name):
    before = listing(tmp_path)
    with pytest.raises(ModelError, match="You have no model called"):
        store.remove(name)
    assert listing(tmp_path) == before


def test_a_broken_model_can_be_removed(store, root, folder):
    store.install(folder)
    (root / "mine" / "manifest.json").write_text("{}")
    assert "mine" in store.broken()
    store.remove("mine")
    assert store.broken() == {}


def test_search_takes_every_word(store, folder):
    store.install(folder)
    assert [m.id for m in store.search("MINE hippocampus")] == ["mine"]
    assert [m.id for m in store.search("hippocampus mr")] == ["hippocampus", "mine"]
    assert store.search("hippocampus spleen") == []


def test_files_that_record_something_are_not_guessed_when_damaged(store, root, folder):
    root.mkdir(parents=True)
    (root / "trusted-files.json").write_text("[{]")
    with pytest.raises(ModelError, match=r"trusted-files\.json"):
        is_trusted("0" * 64, root)
    assert Path(root / "trusted-files.json").read_text() == "[{]"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_is_neither_file_nor_folder_is_refused_unread(tmp_path):
    """Row 55: a pipe or device would be read for ever."""
    os.mkfifo(tmp_path / "model.zip")
    with pytest.raises(ModelError, match="neither a file nor a folder"):
        ModelStore(user=tmp_path / "models").install(tmp_path / "model.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]
