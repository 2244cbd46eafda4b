"""Windows that would wait for a person, packages that would be installed, files that would be opened: all recorded."""

import pytest


@pytest.fixture
def record(host):
    if not host.installed:
        pytest.skip("says something of the stand-in's record")
    return host.record


def test_an_error_is_only_logged_while_slicer_runs_tests(record, caplog):
    import slicer

    assert slicer.app.testingEnabled() is True
    slicer.util.errorDisplay("It failed.")
    assert record.boxes == []
    assert "It failed." in caplog.text


def test_an_error_is_shown_once_with_its_details(record, shown_errors):
    import slicer

    slicer.util.errorDisplay("It failed.", windowTitle="MedAI", detailedText="a trace")
    assert shown_errors() == ["It failed."]
    box = record.boxes[0]
    assert (box.kind, box.title.strip(), box.details, box.answer) == ("error", "MedAI", "a trace", "Ok")


def test_warnings_and_information_are_not_errors(record, shown_errors):
    import slicer

    slicer.util.warningDisplay("Careful.")
    slicer.util.infoDisplay("Done.")
    assert [box.kind for box in record.boxes] == ["warning", "information"]
    assert shown_errors() == []


def test_try_with_error_display_shows_and_raises(record, shown_errors):
    import slicer

    with pytest.raises(ZeroDivisionError), slicer.util.tryWithErrorDisplay("The sum failed.", waitCursor=True):
        1 / 0
    assert shown_errors() == ["The sum failed.\n\ndivision by zero"]


def test_an_error_that_was_shown_does_not_fail_the_test_again(record, shown_errors):
    import qt
    import slicer

    def clicked():
        with slicer.util.tryWithErrorDisplay("The click failed."):
            raise RuntimeError("no disk")

    button = qt.QPushButton()
    button.clicked.connect(clicked)
    button.click()
    assert [str(e) for e in record.slot_errors] == ["no disk"]
    assert record.unshown_slot_errors() == []


def test_a_question_takes_its_answer_from_the_test(record):
    import qt
    import slicer

    record.testing = False
    record.box_answers += [qt.QMessageBox.Ok, qt.QMessageBox.Cancel, qt.QMessageBox.No]
    assert slicer.util.confirmOkCancelDisplay("Go on?") is True
    assert slicer.util.confirmOkCancelDisplay("Go on?") is False
    assert slicer.util.confirmYesNoDisplay("Really?") is False
    assert [(box.kind, box.answer) for box in record.boxes] == [
        ("question", "Ok"),
        ("question", "Cancel"),
        ("question", "No"),
    ]


def test_a_question_that_nobody_foresaw_fails(record):
    import slicer
    from medai_host import Unanswered

    record.testing = False
    with pytest.raises(Unanswered, match="Go on"):
        slicer.util.confirmOkCancelDisplay("Go on?")
    assert len(record.boxes) == 1


def test_the_static_boxes_of_qt(record):
    import qt

    record.box_answers.append(qt.QMessageBox.Yes)
    answer = qt.QMessageBox.question(None, "Title", "Sure?", qt.QMessageBox.Yes | qt.QMessageBox.No)
    qt.QMessageBox.critical(None, "Title", "Broken.")
    assert answer == qt.QMessageBox.Yes
    assert [(box.kind, box.text) for box in record.boxes] == [("question", "Sure?"), ("error", "Broken.")]


def test_file_dialogs_answer_or_are_cancelled(record):
    import qt

    record.file_answers.append("/chosen/report.html")
    assert qt.QFileDialog.getSaveFileName(None, "Save", "/start", "HTML (*.html)") == "/chosen/report.html"
    assert qt.QFileDialog.getExistingDirectory(None, "Folder") == ""
    assert qt.QFileDialog.getOpenFileNames() == ()
    assert [(d.method, d.caption) for d in record.file_dialogs[:2]] == [
        ("getSaveFileName", "Save"),
        ("getExistingDirectory", "Folder"),
    ]


def test_nothing_is_opened_outside(record):
    import qt

    assert qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile("/a/report.html")) is True
    assert record.opened_urls == ["file:///a/report.html"]


def test_settings_last_for_one_test(record):
    import medai_host
    import qt
    import slicer

    qt.QSettings().setValue("MedAI/folder", "somewhere")
    assert slicer.util.settingsValue("MedAI/folder", "none") == "somewhere"
    assert slicer.app.userSettings().value("MedAI/folder") == "somewhere"
    assert qt.QSettings().fileName().startswith(slicer.app.slicerHome.rsplit("/", 1)[0])
    medai_host.reset()
    assert slicer.util.settingsValue("MedAI/folder", "none") == "none"


def test_a_status_message_reaches_the_main_window(record):
    import slicer

    assert slicer.util.mainWindow().objectName == "qSlicerMainWindow"
    slicer.util.showStatusMessage("Working", 1000)
    assert record.status_messages == ["Working"]


def test_pip_ensure_records_and_installs_nothing(record, tmp_path):
    import slicer.packaging

    constraints = tmp_path / "constraints.txt"
    constraints.write_text("numpy<3\n", encoding="utf-8")
    wanted = ["numpy>=1.20", "medai-package-that-is-nowhere>=1", "other-nowhere; sys_platform == 'amiga'"]
    assert slicer.packaging.pip_ensure(wanted, constraints=constraints, requester="MedAI") is None
    request = record.packages[0]
    assert (request.function, request.missing) == ("pip_ensure", ("medai-package-that-is-nowhere>=1",))
    assert len(request.requirements) == 3
    assert request.options["requester"] == "MedAI"


def test_pip_check_and_requirement_files(record, tmp_path):
    import slicer.packaging

    path = tmp_path / "requirements.txt"
    path.write_text("# ours\n\n-c other.txt\nnumpy>=1.20\npytest>=1\n", encoding="utf-8")
    requirements = slicer.packaging.load_requirements(path)
    assert [r.name for r in requirements] == ["numpy", "pytest"]
    assert slicer.packaging.pip_check(requirements) is True
    assert slicer.packaging.pip_check("numpy>=1000") is False
    assert slicer.packaging.pip_check("numpy>=1.20 pytest>=1") is True


def test_a_missing_constraints_file_is_an_error(record, tmp_path):
    import slicer.packaging

    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt"):
        slicer.packaging.pip_ensure("numpy", constraints=tmp_path / "nowhere.txt")


def test_pip_install_goes_through_slicer_util(record):
    import slicer

    slicer.util.pip_install("numpy")
    assert [(p.function, p.requirements) for p in record.packages] == [("pip_install", ("numpy",))]


def test_texts_are_their_own_translations(host):
    from slicer.i18n import tr as _
    from slicer.i18n import translate

    if not host.installed:
        pytest.skip("a real Slicer may speak another language")
    assert _("Segment {n}").format(n=3) == "Segment 3"
    assert translate("MedAI", "Segment") == "Segment"


def test_a_console_process_speaks_while_the_window_lives(host, process_events):
    import sys

    import slicer

    lines, codes = [], []
    slicer.util.launchConsoleProcess(
        [sys.executable, "-c", "print('one'); print('two')"],
        blocking=False,
        logCallback=lines.append,
        completedCallback=codes.append,
    )
    assert process_events(until=lambda: bool(codes), timeout=30)
    assert (lines, codes) == (["one", "two"], [0])


def test_slicers_own_windows_do_not_wait(record, process_events):
    import qt
    import slicer

    progress = slicer.util.createProgressDialog(value=10, maximum=50, labelText="Reading", windowTitle="MedAI")
    progress.value = 20
    assert (progress.maximum, progress.value, progress.labelText) == (50, 20, "Reading")
    progress.close()
    slicer.util.delayDisplay("A short notice", 400)
    record.testing = False
    with slicer.util.MessageDialog("Please wait"), slicer.util.WaitCursor():
        assert qt.QApplication.overrideCursor() is not None
    assert qt.QApplication.overrideCursor() is None
    assert [(box.kind, box.text) for box in record.boxes] == [("plain", "Please wait")]
