"""medai.mrml.session: scenes without the application, saved and loaded as .mrb."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer")

import slicer

from medai.core.errors import InputError, OutputError, SceneError, TruncatedFile
from medai.core.labelmap import LabelMap, Segment
from medai.core.table import Column, Table
from medai.core.volume import Volume
from medai.mrml import (
    HeadlessSession,
    labels_from_segmentation,
    labels_to_segmentation,
    provenance_of,
    segment_ids,
    stamp,
    table_from_node,
    table_to_node,
    volume_from_node,
    volume_to_node,
)

TABLE = Table("Features", (Column("name", ("a", "b")), Column("v", (1 / 3, float("nan")), "mm3", "Volume")))
CLASSES = ["vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLTableNode"]


def fill(scene, volume, labels):
    reference = volume_to_node(volume, scene, "Image")
    segmentation = labels_to_segmentation(labels, scene, "Labels", reference=reference)
    table = table_to_node(TABLE, scene)
    for node in (reference, segmentation, table):
        stamp(node, {"note": 'é; "q"\n<&>%20:', "list": [1, 2.5, None, True]})


def saved_nodes(scene):
    nodes = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
    return sorted((n.GetClassName(), n.GetName()) for n in nodes if n.GetSaveWithScene())


@pytest.mark.parametrize(
    "name",
    ["scene.mrb", "with space é 脑 🧠.mrb", "-leading.mrb", "CON.mrb", "a'b;c.mrb", "x" * 200 + ".mrb", "UPPER.MRB"],
)
def test_everything_survives(session, tmp_path, volume, labels, name):
    folder = tmp_path / "a folder é"
    folder.mkdir()
    fill(session.scene, volume, labels)
    session.save(folder / name)
    before = saved_nodes(session.scene)
    assert [p.name for p in folder.iterdir()] == [name]
    with HeadlessSession() as other:
        other.load(folder / name)
        scene = other.scene
        assert saved_nodes(scene) == before
        image, segmentation, table = (scene.GetFirstNodeByClass(c) for c in CLASSES)
        assert volume_from_node(image).digest() == volume.digest()
        assert volume_from_node(image).modality == volume.modality
        assert dict(volume_from_node(image).meta) == dict(volume.meta)
        back = labels_from_segmentation(segmentation, image)
        assert back.digest() == labels.digest()
        for got, want in zip(back.segments, labels.segments, strict=True):
            assert (got.label, got.name, got.category, got.type, got.modifier) == (
                want.label, want.name, want.category, want.type, want.modifier
            )  # fmt: skip
            assert np.allclose(got.color, want.color, atol=1e-5)
        assert list(segment_ids(segmentation).values()) == ["Segment_1", "Segment_2", "Segment_3", "Segment_9"]
        assert segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole()) is image
        assert repr(table_from_node(table)) == repr(TABLE)
        for node in (image, segmentation, table):
            facts = provenance_of(node)
            assert facts["note"] == 'é; "q"\n<&>%20:'
            assert facts["list"] == [1, 2.5, None, True]
        assert provenance_of(segmentation)["input_sha256"] == volume.digest()
        display = image.GetDisplayNode()
        original = session.scene.GetFirstNodeByClass(CLASSES[0]).GetDisplayNode()
        assert (display.GetWindow(), display.GetLevel()) == pytest.approx(
            (original.GetWindow(), original.GetLevel()), rel=1e-4
        )
        assert display.GetColorNode() is not None


def test_saved_again_after_loading(session, tmp_path, volume, labels):
    fill(session.scene, volume, labels)
    for name in ("one.mrb", "two.mrb", "three.mrb"):
        session.save(tmp_path / name)
        before = saved_nodes(session.scene)
        session.load(tmp_path / name)
        assert saved_nodes(session.scene) == before
    assert volume_from_node(session.scene.GetFirstNodeByClass(CLASSES[0])).digest() == volume.digest()


def test_the_bundle_is_one_folder_of_plain_names(session, tmp_path, volume, labels):
    fill(session.scene, volume, labels)
    for name in ("", "a" * 300, "脑 é", "CON", "../../x", "same", "same", "SAME", "<b>:|?*"):
        volume_to_node(volume, session.scene, name)
    session.save(tmp_path / "é.mrb")
    with zipfile.ZipFile(tmp_path / "é.mrb") as bundle:
        names = bundle.namelist()
    assert all(n.isascii() and len(n) < 90 and not set(n) & set('<>:"|?*\\') and ".." not in n for n in names)
    assert len({n.lower() for n in names}) == len(names)
    assert {n.split("/")[0] for n in names} == {"scene"}
    assert sum(n.endswith(".mrml") for n in names) == 1
    assert any(n.endswith(".seg.nrrd") for n in names)
    assert not any(Path(n).name.lower().startswith("con.") for n in names)
    session.load(tmp_path / "é.mrb")
    assert session.scene.GetFirstNodeByName("脑 é") is not None
    assert session.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 10


def test_slicers_own_reader_reads_it(session, tmp_path, volume, labels):
    fill(session.scene, volume, labels)
    session.save(tmp_path / "a.mrb")
    with HeadlessSession() as other:
        messages = slicer.vtkMRMLMessageCollection()
        assert other.scene.ReadFromMRB(str(tmp_path / "a.mrb"), True, messages)
        assert messages.GetNumberOfMessages() == 0
        assert labels_from_segmentation(other.scene.GetFirstNodeByClass(CLASSES[1])).digest() == labels.digest()
        assert other.scene.GetLastLoadedVersion().startswith("Slicer 5.")


def test_what_slicers_own_writer_wrote_is_read(session, tmp_path, volume, labels):
    fill(session.scene, volume, labels)
    assert session.scene.WriteToMRB(str(tmp_path / "own é.mrb"))
    session.load(tmp_path / "own é.mrb")
    assert volume_from_node(session.scene.GetFirstNodeByClass(CLASSES[0])).digest() == volume.digest()


def test_every_voxel_type_survives(session, tmp_path, oblique):
    kinds = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float16", "float32", "float64", "bool"]
    for kind in kinds:
        array = (np.random.default_rng(2).random(oblique.shape) * 100).astype(kind)
        volume_to_node(Volume(array, oblique), session.scene, kind)
    colour = (np.random.default_rng(2).random((*oblique.shape, 3)) * 255).astype(np.uint8)
    volume_to_node(Volume(colour, oblique), session.scene, "colour")
    expected = {name: volume_from_node(session.scene.GetFirstNodeByName(name)).digest() for name in [*kinds, "colour"]}
    session.save(tmp_path / "t.mrb")
    session.load(tmp_path / "t.mrb")
    for name, digest in expected.items():
        assert volume_from_node(session.scene.GetFirstNodeByName(name)).digest() == digest, name
    node = session.scene.GetFirstNodeByName("colour")
    assert node.GetVoxelVectorType() == node.VoxelVectorTypeColorRGB


@pytest.mark.parametrize(
    "name",
    [
        "vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode", "vtkMRMLLabelMapVolumeNode", "vtkMRMLSegmentationNode",
        "vtkMRMLTableNode", "vtkMRMLModelNode", "vtkMRMLLinearTransformNode", "vtkMRMLMarkupsFiducialNode",
        "vtkMRMLTextNode", "vtkMRMLPlotChartNode", "vtkMRMLSliceNode",
    ],
)  # fmt: skip
def test_a_node_without_data_does_not_stop_a_scene(session, tmp_path, volume, name):
    volume_to_node(volume, session.scene, "with data")
    session.scene.AddNewNodeByClass(name, "without")
    session.save(tmp_path / "e.mrb")
    session.load(tmp_path / "e.mrb")
    assert session.scene.GetFirstNodeByName("without").IsA(name)
    assert volume_from_node(session.scene.GetFirstNodeByName("with data")).digest() == volume.digest()


def test_a_name_that_xml_cannot_hold_is_reported(session, tmp_path):
    session.scene.AddNewNodeByClass("vtkMRMLTextNode", "a\x01b")
    with pytest.raises(OutputError, match="XML"):
        session.save(tmp_path / "x.mrb")
    assert list(tmp_path.iterdir()) == []


ODD = "a\x01b\x00c\ud800d\ufffee\x7f"


def test_odd_text_never_breaks_a_scene(session, tmp_path, oblique):
    scene = session.scene
    array = np.ones(oblique.shape, np.uint8)
    image = volume_to_node(Volume(array, oblique, ODD, ODD, ODD, meta={"x": ODD}), scene, provenance={"x": ODD})
    labels_to_segmentation(LabelMap(array, oblique, (Segment(1, ODD),)), scene, ODD, reference=image)
    table_to_node(Table("t", (Column(ODD, (ODD,), ODD, ODD),)), scene)
    session.save(tmp_path / "o.mrb")
    session.load(tmp_path / "o.mrb")
    image, segmentation, table = (scene.GetFirstNodeByClass(c) for c in CLASSES)
    shown = "a\ufffdb\ufffdc\ufffdd\ufffde\x7f"
    back = volume_from_node(image)
    assert (back.name, back.modality, back.unit) == (shown, shown, shown)
    assert dict(back.meta) == {"x": ODD}
    assert provenance_of(image)["x"] == ODD
    assert segmentation.GetName() == shown
    assert [s.name for s in labels_from_segmentation(segmentation).segments] == [shown]
    assert table_from_node(table).columns == (Column(ODD, (ODD,), ODD, ODD),)


def test_empty_scene(session, tmp_path):
    session.save(tmp_path / "e.mrb")
    session.load(tmp_path / "e.mrb")


def test_loading_replaces_the_scene(session, tmp_path, volume):
    volume_to_node(volume, session.scene, "old")
    with HeadlessSession() as other:
        volume_to_node(volume, other.scene, "new")
        other.save(tmp_path / "n.mrb")
    session.load(tmp_path / "n.mrb")
    assert session.scene.GetFirstNodeByName("old") is None
    assert session.scene.GetFirstNodeByName("new") is not None


def test_closed_session_has_no_scene(tmp_path):
    session = HeadlessSession()
    for use in (lambda: session.scene, lambda: session.save(tmp_path / "a.mrb"), lambda: session.load(tmp_path)):
        with pytest.raises(SceneError, match="not open"):
            use()
    with session:
        assert session.scene is not None
    with pytest.raises(SceneError, match="not open"):
        session.scene


def test_temporary_files_are_removed(tmp_path, monkeypatch, volume, labels):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with HeadlessSession() as session:
        fill(session.scene, volume, labels)
        session.save(tmp_path / "a.mrb")
        session.load(tmp_path / "a.mrb")
        with pytest.raises(OutputError):
            session.save(tmp_path / "missing" / "a.mrb")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_working_folder_is_not_written_to(tmp_path, monkeypatch, volume):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    with HeadlessSession() as session:
        volume_to_node(volume, session.scene)
        session.save(tmp_path / "a.mrb")
        session.load(tmp_path / "a.mrb")
    assert list((tmp_path / "cwd").iterdir()) == []


@pytest.mark.parametrize("name", ["scene.mrml", "scene", "scene.zip"])
def test_only_mrb_is_written(session, tmp_path, name):
    with pytest.raises(OutputError, match=r"saved as \.mrb"):
        session.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_and_folder_as_target(session, tmp_path):
    with pytest.raises(OutputError, match="folder does not exist"):
        session.save(tmp_path / "no" / "a.mrb")
    (tmp_path / "d.mrb").mkdir()
    with pytest.raises(OutputError, match="folder of that name"):
        session.save(tmp_path / "d.mrb")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not stop this user")
def test_folder_without_permission_keeps_the_old_file(session, tmp_path, volume):
    session.save(tmp_path / "a.mrb")
    old = (tmp_path / "a.mrb").read_bytes()
    volume_to_node(volume, session.scene)
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(OutputError, match="permission denied"):
            session.save(tmp_path / "a.mrb")
    finally:
        tmp_path.chmod(stat.S_IRWXU)
    assert (tmp_path / "a.mrb").read_bytes() == old


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from medai.core.errors import OutputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.labelmap import LabelMap, Segment
from medai.core.table import Column, Table
from medai.core.volume import Volume
from medai.mrml import HeadlessSession, labels_to_segmentation, table_to_node, volume_to_node

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
grid = Geometry.from_spacing((40, 64, 64))
noise = np.random.default_rng(0).integers(0, 255, grid.shape).astype(np.uint8)
two = LabelMap(noise % 3, grid, (Segment(1, "a"), Segment(2, "b")))
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)


def many(scene):
    for number in range(100):
        table_to_node(Table(f"t{number}", ()), scene, provenance={"x": "y" * 1000})


FILLS = {
    "volume": lambda scene: volume_to_node(Volume(noise, grid), scene),
    "segmentation": lambda scene: labels_to_segmentation(two, scene),
    "table": lambda scene: table_to_node(Table("t", (Column("x", tuple(float(v) for v in range(20_000))),)), scene),
    "scene": many,
}
for kind, fill in FILLS.items():
    with HeadlessSession() as session:
        fill(session.scene)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, unlimited[1]))
        try:
            session.save(Path(sys.argv[1]))
        except OutputError as error:
            print(kind, "REFUSED", error)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no file size limit on this system")
def test_disk_full_while_writing_keeps_the_old_file(tmp_path):
    target = tmp_path / "old.mrb"
    target.write_bytes(b"the old file")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(target)],
        capture_output=True, text=True, timeout=120, env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    refused = [line for line in done.stdout.splitlines() if "REFUSED" in line]
    assert [line.split()[0] for line in refused] == ["volume", "segmentation", "table", "scene"], done.stdout
    assert str(tmp_path) not in "".join(refused)
    assert target.read_bytes() == b"the old file"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.mrb", "tmp"]
    assert list(temporary.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB; needs a Linux user who may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a small file system")
    yield folder
    # Lazily, because the image writer leaks its file handle when the disk is full.
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_file_system_keeps_the_old_file(session, small_disk, oblique):
    session.save(small_disk / "a.mrb")
    old = (small_disk / "a.mrb").read_bytes()
    noise = np.random.default_rng(0).integers(0, 2**31, (40, 40, 40)).astype(np.int32)
    volume_to_node(Volume(noise, oblique.crop((0, 0, 0), noise.shape)), session.scene)
    with pytest.raises(OutputError, match="disk is full"):
        session.save(small_disk / "a.mrb")
    assert (small_disk / "a.mrb").read_bytes() == old
    assert [p.name for p in small_disk.iterdir()] == ["a.mrb"]


def test_read_only_file_system_keeps_the_old_file(session, small_disk, volume):
    session.save(small_disk / "a.mrb")
    old = (small_disk / "a.mrb").read_bytes()
    volume_to_node(volume, session.scene)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match="read-only"):
        session.save(small_disk / "a.mrb")
    assert (small_disk / "a.mrb").read_bytes() == old


def test_full_temporary_folder_keeps_the_old_file(small_disk, tmp_path, monkeypatch, oblique):
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    noise = np.random.default_rng(0).integers(0, 2**31, (40, 40, 40)).astype(np.int32)
    (tmp_path / "a.mrb").write_bytes(b"old")
    with HeadlessSession() as session:
        volume_to_node(Volume(noise, oblique.crop((0, 0, 0), noise.shape)), session.scene)
        with pytest.raises(OutputError, match="temporary folder is full"):
            session.save(tmp_path / "a.mrb")
    assert (tmp_path / "a.mrb").read_bytes() == b"old"
    assert list(small_disk.iterdir()) == []


def test_missing_and_wrong_files(session, tmp_path, volume):
    kept = volume_to_node(volume, session.scene)
    with pytest.raises(InputError, match=r"no scene file 'no\.mrb'"):
        session.load(tmp_path / "no.mrb")
    (tmp_path / "text.mrb").write_text("this is no zip")
    with pytest.raises(TruncatedFile):
        session.load(tmp_path / "text.mrb")
    (tmp_path / "empty.mrb").write_bytes(b"")
    with pytest.raises(TruncatedFile):
        session.load(tmp_path / "empty.mrb")
    assert session.scene.IsNodePresent(kept)


def test_cut_and_damaged_files(session, tmp_path, volume):
    kept = volume_to_node(volume, session.scene)
    session.save(tmp_path / "a.mrb")
    whole = (tmp_path / "a.mrb").read_bytes()
    for size in (10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.mrb").write_bytes(whole[:size])
        with pytest.raises(TruncatedFile):
            session.load(tmp_path / "cut.mrb")
    with zipfile.ZipFile(tmp_path / "a.mrb") as bundle:
        entry = next(e for e in bundle.infolist() if e.filename.endswith(".nrrd"))
    middle = entry.header_offset + 60 + entry.compress_size // 2
    flipped = bytearray(whole)
    flipped[middle] ^= 0x10
    (tmp_path / "flip.mrb").write_bytes(flipped)
    with pytest.raises(TruncatedFile):
        session.load(tmp_path / "flip.mrb")
    assert session.scene.IsNodePresent(kept)


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil.txt"])
def test_zip_slip_is_refused(session, tmp_path, name):
    with zipfile.ZipFile(tmp_path / "evil.mrb", "w") as bundle:
        bundle.writestr("s/s.mrml", '<MRML version="Slicer 5.12.0 0"></MRML>')
        bundle.writestr(zipfile.ZipInfo(name), "evil")
    with pytest.raises(InputError, match="outside its folder"):
        session.load(tmp_path / "evil.mrb")
    assert [p.name for p in tmp_path.iterdir()] == ["evil.mrb"]


def test_links_repeated_names_and_bombs_are_refused(session, tmp_path):
    with zipfile.ZipFile(tmp_path / "link.mrb", "w") as bundle:
        bundle.writestr("s/s.mrml", "<MRML></MRML>")
        link = zipfile.ZipInfo("s/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        bundle.writestr(link, "/etc")
    with pytest.raises(InputError, match="link"):
        session.load(tmp_path / "link.mrb")
    with zipfile.ZipFile(tmp_path / "twice.mrb", "w") as bundle:
        bundle.writestr("s/s.mrml", "<MRML></MRML>")
        bundle.writestr("s/S.mrml", "<MRML></MRML>")
    with pytest.raises(InputError, match="repeated"):
        session.load(tmp_path / "twice.mrb")
    with zipfile.ZipFile(tmp_path / "none.mrb", "w") as bundle:
        bundle.writestr("s/readme.txt", "no scene")
    with pytest.raises(InputError, match="without a scene"):
        session.load(tmp_path / "none.mrb")


def test_a_bundle_that_claims_more_than_the_disk_holds_is_refused(session, tmp_path):
    path = tmp_path / "bomb.mrb"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("s/s.mrml", "<MRML></MRML>")
        bundle.infolist()[0].file_size = 2**50
    with pytest.raises(InputError, match="are free"):
        session.load(path)
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("s/s.mrml", "<MRML></MRML>")
        bundle.infolist()[0].file_size = 14
    with pytest.raises(TruncatedFile):
        session.load(path)


def test_a_missing_data_file_is_reported_and_the_scene_left_empty(session, tmp_path, volume):
    volume_to_node(volume, session.scene, "Someone^Secret")
    session.save(tmp_path / "a.mrb")
    with zipfile.ZipFile(tmp_path / "a.mrb") as whole, zipfile.ZipFile(tmp_path / "b.mrb", "w") as part:
        for entry in whole.infolist():
            if not entry.filename.endswith(".nrrd"):
                part.writestr(entry, whole.read(entry))
    with pytest.raises(SceneError, match="vtkMRML") as caught:
        session.load(tmp_path / "b.mrb")
    assert "Secret" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert session.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    volume_to_node(volume, session.scene)


def test_provenance_is_readable_text_in_the_scene_file(session, tmp_path, volume):
    stamp(volume_to_node(volume, session.scene), {"model": "hippocampus"})
    session.save(tmp_path / "a.mrb")
    with zipfile.ZipFile(tmp_path / "a.mrb") as bundle:
        text = next(bundle.read(n) for n in bundle.namelist() if n.endswith(".mrml")).decode("utf-8")
    assert "MedAI.Provenance" in text
    assert "hippocampus" in text
    assert json.dumps(str(tmp_path)) not in text


def test_two_sessions_at_once(tmp_path, volume):
    with HeadlessSession() as first, HeadlessSession() as second:
        volume_to_node(volume, first.scene, "first")
        assert second.scene.GetFirstNodeByName("first") is None
        second.save(tmp_path / "s.mrb")
        first.load(tmp_path / "s.mrb")
        assert first.scene.GetFirstNodeByName("first") is None
