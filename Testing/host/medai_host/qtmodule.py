"""The module `qt`: the names of Qt that a Slicer module may use, no more."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from medai_host import dialogs
from medai_host.errors import NotInHost
from medai_host.uiloader import QUiLoader

# All of these exist under these names in Slicer's `qt`.
_NAMES = """
    Qt QObject QTimer QEvent QSize QSizeF QPoint QPointF QRect QRectF QUrl QByteArray QFile QFileInfo QDir QIODevice
    QLocale QDateTime QDate QTime QElapsedTimer QThread QSysInfo QModelIndex QSortFilterProxyModel QSignalMapper
    QStandardPaths QItemSelectionModel QProcess QProcessEnvironment QSettings QEventLoop QMargins
    QIcon QPixmap QImage QColor QFont QFontMetrics QPalette QPainter QPen QBrush QCursor QKeySequence QTextCursor
    QStandardItem QStandardItemModel QAction QActionGroup QShortcut QDesktopServices QIntValidator QDoubleValidator
    QApplication QWidget QFrame QLabel QPushButton QToolButton QCheckBox QRadioButton QButtonGroup QAbstractButton
    QGroupBox QLineEdit QTextEdit QPlainTextEdit QTextBrowser QSpinBox QDoubleSpinBox QAbstractSpinBox QSlider
    QAbstractSlider QComboBox QProgressBar QProgressDialog QDialog QDialogButtonBox QMessageBox QFileDialog QMainWindow
    QMenu QStatusBar QTabWidget QStackedWidget QSplitter QScrollArea QSizePolicy QSpacerItem QLayout QVBoxLayout
    QHBoxLayout QGridLayout QFormLayout QListWidget QListWidgetItem QListView QTableWidget QTableWidgetItem QTableView
    QTreeWidget QTreeWidgetItem QTreeView QHeaderView QAbstractItemView QStyle QToolTip QCompleter QUiLoader
"""
ALLOWED = frozenset(_NAMES.split())
REPLACED: dict[str, Any] = {
    "QMessageBox": dialogs.QMessageBox,
    "QFileDialog": dialogs.QFileDialog,
    "QDesktopServices": dialogs.QDesktopServices,
    "QUiLoader": QUiLoader,
}


def _lookup(name: str) -> Any:
    if name in REPLACED:
        return REPLACED[name]
    if name in ALLOWED:
        for module in (QtCore, QtGui, QtWidgets):
            if hasattr(module, name):
                return getattr(module, name)
    raise NotInHost("Module qt", name)


def make() -> ModuleType:
    """Make the module and enter it in sys.modules."""
    module = ModuleType("qt", "Stand-in of Slicer's qt.")
    module.__getattr__ = _lookup  # type: ignore[method-assign]
    module.__all__ = sorted(ALLOWED)  # type: ignore[attr-defined]
    sys.modules["qt"] = module
    return module
