"""The report in a real browser: on a desk, on a phone, on paper.  Skipped where no Chromium is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from medai.core.labelmap import Segment
from medai.report import Identity, render

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files",
)  # fmt: skip
pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium is installed")

# Reports what sticks out of the page, and texts that are cut, at the width of the frame.
PROBE = """<!DOCTYPE html><iframe id=f style="width:WIDTHpx;height:3000px;border:0"></iframe><pre id=o></pre><script>
f.onload = () => {
  const d = f.contentDocument, out = [], page = d.documentElement;
  for (const e of d.querySelectorAll("body *")) {
    const r = e.getBoundingClientRect();
    if (e.closest(".scroll") || !r.width) continue;
    if (r.right > page.clientWidth + 1 || r.left < -1) out.push(e.tagName + "." + e.className);
    const inline = getComputedStyle(e).display === "inline";
    if (e.scrollWidth > e.clientWidth + 1 && !inline) out.push("cut " + e.tagName + "." + e.className);
  }
  const boxes = [...d.querySelectorAll("figure")].map(e => e.getBoundingClientRect());
  const overlap = boxes.some((a, i) => boxes.some((b, j) => i < j && a.left < b.right - 1 && b.left < a.right - 1
    && a.top < b.bottom - 1 && b.top < a.bottom - 1));
  o.textContent = "RESULT" + JSON.stringify({
    wide: page.scrollWidth > page.clientWidth, out, overlap, pictures: boxes.length,
    loaded: [...d.images].every(i => i.naturalWidth > 0), font: getComputedStyle(d.body).fontSize}) + "END";
};
f.src = "report.html";
</script>"""


@pytest.fixture(scope="module")
def folder(kit: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report whose names are long and without blanks."""
    volume, labels = kit.case()
    long = Segment(1, "Left_" + "very_long_name_" * 12, labels.segments[0].color, modifier=labels.segments[0].modifier)
    where = tmp_path_factory.mktemp("browser")
    report = kit.report(
        volume, labels.replace(segments=(long, *labels.segments[1:])), identity=Identity(pseudonym="P" * 80),
        protocol={"title": "Volumes of the phantom" * 5, "question": "How large is it?"},
    )  # fmt: skip
    render(report, "html", where / "report.html")
    return where


@pytest.fixture
def chromium(folder: Path, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Run Chromium once and return what it prints."""

    def run(*arguments: str) -> str:
        command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=folder)
        assert done.returncode == 0, done.stderr[-500:]
        return done.stdout

    yield run
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)


@pytest.mark.parametrize("width", [390, 768, 1100])
def test_nothing_sticks_out_or_overlaps(folder: Path, chromium: Callable[..., str], width: int) -> None:
    probe = folder / f"probe{width}.html"
    probe.write_text(PROBE.replace("WIDTH", str(width)), encoding="utf-8")
    printed = chromium("--virtual-time-budget=10000", "--dump-dom", probe.as_uri())
    found = json.loads(re.search(r"RESULT(.*?)END</pre>", printed, re.DOTALL).group(1).replace("&amp;", "&"))
    assert found == {"wide": False, "out": [], "overlap": False, "pictures": 12, "loaded": True, "font": "15px"}


def test_every_printed_page_carries_the_banner(folder: Path, chromium: Callable[..., str]) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")
    pdf = folder / "report.pdf"
    chromium("--no-pdf-header-footer", f"--print-to-pdf={pdf}", (folder / "report.html").as_uri())
    text = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    pages = text.split("\f")[:-1]
    assert len(pages) >= 3
    for number, page in enumerate(pages, start=1):
        top = " ".join(page.strip().splitlines()[:2])
        assert "Research use only - not for diagnosis" in top
        assert "DRAFT" in top
        assert "Quality: green" in top
        assert f"Page {number} of {len(pages)}" in page
