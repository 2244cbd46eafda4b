"""From an image to a report in Slicer's own Python, through the worker process that the panels use."""

import json
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
import slicer

WAIT_S = 120.0


class MedAIPipelineTest(unittest.TestCase):
    """Segment, measure and report a phantom made here; needs no data and no network."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def waitFor(self, start):
        """Start a run and let the application's timers work until it has ended; returns its info."""
        told = []
        run = start(
            onFinished=lambda info: told.append(("finished", info)),
            onFailed=lambda error: told.append(("failed", str(error))),
            onStopped=lambda reason: told.append(("stopped", reason)),
        )
        end = time.monotonic() + WAIT_S
        while run.active and time.monotonic() < end:
            slicer.app.processEvents()
            time.sleep(0.01)
        self.assertEqual([kind for kind, _what in told], ["finished"], told)  # noqa: PT009 - runs without pytest
        return told[0][1]

    def test_phantomToReport(self):
        from MedAIFeatures import MedAIFeaturesLogic
        from MedAIReport import MedAIReportLogic
        from MedAISegment import MedAISegmentLogic

        k, j, i = np.ogrid[:32, :40, :40]
        ball = (i - 20) ** 2 + (j - 20) ** 2 + (k - 16) ** 2 <= 10**2
        array = np.where(ball, 200, 50) + np.random.default_rng(1).normal(0, 5, ball.shape)
        image = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Phantom")
        slicer.util.updateVolumeFromArray(image, array.astype(np.float32))
        segmenting, measuring, reporting = MedAISegmentLogic(), MedAIFeaturesLogic(), MedAIReportLogic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = self.waitFor(lambda **tell: segmenting.start(image, **tell))
                segments = slicer.mrmlScene.GetNodeByID(found["segmentationNodeId"])
                measured = self.waitFor(lambda **tell: measuring.start(image, segments, **tell))
                table = slicer.mrmlScene.GetNodeByID(measured["tableNodeId"])
                written = self.waitFor(lambda **tell: reporting.start(image, segments, folder, table, **tell))
            finally:
                for logic in (segmenting, measuring, reporting):
                    logic.close()
            report = json.loads(Path(written["files"]["json"]).read_text(encoding="utf-8"))
        volume_ml = report["findings"][0]["volume"]["value"] / 1000
        assert abs(volume_ml - ball.sum() / 1000) < 0.02 * ball.sum() / 1000
        assert report["task"]["steps"] == ["threshold"]


if __name__ == "__main__":
    unittest.main()
