"""The stand-in gives Qt the manners of PythonQt: attributes, text signatures, no new attributes."""

import pytest

pytestmark = pytest.mark.usefixtures("host")


@pytest.fixture
def only_stand_in(host):
    if not host.installed:
        pytest.skip("says something of the stand-in itself")


def test_a_property_is_an_attribute_and_its_setter_a_method():
    import qt

    button = qt.QPushButton("Go")
    assert button.text == "Go"
    assert button.enabled is True
    button.enabled = False
    assert button.enabled is False
    button.setEnabled(True)
    assert button.enabled is True
    button.text = "Stop"
    button.toolTip = "Ends the work"
    assert (button.text, button.toolTip) == ("Stop", "Ends the work")
    with pytest.raises(TypeError):
        button.text()


def test_properties_reimplemented_by_a_subclass_are_attributes_too():
    import qt

    label = qt.QLabel("Some text")
    assert label.sizeHint.width() > label.minimumSizeHint.height() > 0
    box = qt.QComboBox()
    box.addItem("one")
    box.addItem("two")
    box.currentIndex = 1
    assert (box.count, box.currentText, box.itemText(0)) == (2, "two", "one")


def test_name_and_class_name():
    import qt

    widget = qt.QWidget()
    widget.name = "panel"
    assert (widget.name, widget.objectName, widget.className()) == ("panel", "panel", "QWidget")


def test_a_timer_has_the_property_and_the_static_function(process_events):
    import qt

    done = []
    timer = qt.QTimer()
    timer.singleShot = True
    timer.setInterval(1)
    timer.timeout.connect(lambda: done.append("timer"))
    timer.start()
    qt.QTimer.singleShot(0, lambda: done.append("static"))
    assert process_events(until=lambda: len(done) == 2, timeout=5)
    assert timer.singleShot is True
    assert timer.active is False


def test_an_enum_property_reads_and_writes():
    import qt

    label = qt.QLabel()
    label.textFormat = qt.Qt.PlainText
    assert label.textFormat == qt.Qt.PlainText


@pytest.mark.parametrize(("name", "value"), [("enabled", None), ("enabled", "yes"), ("text", 5), ("minimumWidth", 1.5)])
def test_a_property_refuses_a_value_of_another_type(name, value):
    import qt

    with pytest.raises(TypeError):
        setattr(qt.QPushButton(), name, value)


def test_a_read_only_property_cannot_be_written():
    import qt

    with pytest.raises(AttributeError):
        qt.QComboBox().count = 3


def test_connect_and_disconnect_by_text():
    import qt

    button, seen = qt.QPushButton(), []

    def clicked(checked):
        seen.append(checked)

    def nothing():
        seen.append("nothing")

    assert button.connect("clicked(bool)", clicked)
    button.connect("clicked()", nothing)
    button.click()
    assert seen == [False, "nothing"]
    button.disconnect("clicked(bool)", clicked)
    button.click()
    assert seen == [False, "nothing", "nothing"]


def test_connect_to_a_slot_of_another_object_by_text():
    import qt

    box, label = qt.QCheckBox(), qt.QLabel()
    box.connect("toggled(bool)", label, "setEnabled(bool)")
    box.checked = True
    box.checked = False
    assert label.enabled is False


@pytest.mark.usefixtures("only_stand_in")
@pytest.mark.parametrize("signature", ["pressedd()", "clicked", "clicked(int)", 7])
def test_connect_refuses_an_invented_signal(signature):
    import qt
    from medai_host import NotInHost

    with pytest.raises(NotInHost):
        qt.QPushButton().connect(signature, print)


@pytest.mark.usefixtures("only_stand_in")
def test_unknown_attributes_cannot_be_read_or_written():
    import qt
    from medai_host import NotInHost

    button = qt.QPushButton()
    with pytest.raises(NotInHost, match="invented"):
        button.invented
    with pytest.raises(NotInHost, match="takes no new attributes"):
        button.invented = 1
    assert not hasattr(button, "invented")


def test_a_python_subclass_has_attributes_of_its_own():
    import qt

    class Dialog(qt.QDialog):
        def __init__(self):
            super().__init__()
            self.answer = 42

    assert Dialog().answer == 42


@pytest.mark.usefixtures("only_stand_in")
@pytest.mark.parametrize("name", ["QtCore", "Signal", "QWebEngineView", "PyQt5"])
def test_the_module_qt_has_only_names_of_slicer(name):
    import qt
    from medai_host import NotInHost

    with pytest.raises(NotInHost):
        getattr(qt, name)


@pytest.mark.usefixtures("only_stand_in")
@pytest.mark.parametrize(
    ("module", "name"),
    [("ctk", "ctkMagicButton"), ("slicer", "qMRMLMagicWidget"), ("slicer.parameterNodeWrapper", "Magic")],
)
def test_the_other_modules_have_only_names_of_slicer(module, name):
    import importlib

    from medai_host import NotInHost

    with pytest.raises(NotInHost, match=name):
        getattr(importlib.import_module(module), name)


def test_every_allowed_name_of_qt_is_there(host):
    if not host.installed:
        pytest.skip("says something of the stand-in itself")
    import qt
    from medai_host.qtmodule import ALLOWED

    assert len([getattr(qt, name) for name in ALLOWED]) == len(ALLOWED)


@pytest.mark.usefixtures("only_stand_in")
def test_an_error_in_a_slot_is_not_lost(host):
    import qt

    button = qt.QPushButton()
    button.clicked.connect(lambda: {}["missing"])
    button.click()
    assert [type(e) for e in host.record.unshown_slot_errors()] == [KeyError]
    host.record.slot_errors.clear()


@pytest.mark.usefixtures("only_stand_in")
def test_an_error_in_an_observer_is_not_lost(host):
    import vtk

    subject = vtk.vtkObject()
    subject.AddObserver("ModifiedEvent", lambda *_: {}["missing"])
    subject.Modified()
    assert [type(e) for e in host.record.unshown_slot_errors()] == [KeyError]
    host.record.slot_errors.clear()


@pytest.mark.usefixtures("only_stand_in")
def test_installing_twice_changes_nothing():
    import medai_host
    import slicer

    app = slicer.app
    assert medai_host.install() is True
    assert slicer.app is app


def test_in_a_real_slicer_nothing_is_installed(host, monkeypatch):
    import medai_host
    import slicer

    class RealApplication:
        pass

    monkeypatch.setattr(slicer, "app", RealApplication())
    assert medai_host.is_real_slicer() is True
    assert medai_host.install() is False
    assert type(slicer.app) is RealApplication


def test_picture_from_bytes(host):
    import qt

    pixmap = qt.QPixmap()
    assert pixmap.loadFromData(qt.QByteArray(b"P6 2 1 255\n" + bytes([255, 0, 0, 0, 0, 0])), "PPM")
    assert (pixmap.width(), pixmap.height()) == (2, 1)
