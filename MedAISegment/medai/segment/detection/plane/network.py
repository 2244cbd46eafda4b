"""The network: torchvision's Mask R-CNN on a ResNet with a feature pyramid, with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .library import torchvision_library
from .settings import NetworkSettings

if TYPE_CHECKING:
    import torch


def build_mask_rcnn(settings: NetworkSettings, classes: int) -> torch.nn.Module:
    """Return a Mask R-CNN; no weights are fetched.

    The backbone's layers are normalised in groups, not over a batch: a training from scratch with two images a step
    has too few for batch statistics (Wu and He, Group Normalization, 2018; He, Girshick, Dollar, Rethinking ImageNet
    pre-training, 2019).  Pixels are taken as they come, so the caller brings them to 0 to 1.

    Parameters
    ----------
    settings : NetworkSettings
    classes : int
        Without the background.

    Raises
    ------
    DependencyError
        If torchvision is missing or broken.
    """
    library = torchvision_library()
    detection = library.models.detection
    from torch import nn

    def in_groups(channels: int) -> nn.Module:
        return nn.GroupNorm(min(32, channels // 2), channels)

    s = settings
    body = getattr(library.models.resnet, s.backbone)(weights=None, norm_layer=in_groups)
    last = body.fc.in_features
    stages = {f"layer{n}": str(n - 1) for n in range(1, 5)}
    backbone = detection.backbone_utils.BackboneWithFPN(
        body, stages, [last // 8, last // 4, last // 2, last], s.pyramid_width
    )
    network: torch.nn.Module = detection.MaskRCNN(
        backbone,
        min_size=s.short_side,
        max_size=s.long_side,
        image_mean=[0.5] * 3,
        image_std=[0.25] * 3,
        rpn_anchor_generator=detection.anchor_utils.AnchorGenerator(
            tuple((a,) for a in s.anchors), (s.ratios,) * len(s.anchors)
        ),
        rpn_pre_nms_top_n_train=1000,
        rpn_post_nms_top_n_train=500,
        rpn_pre_nms_top_n_test=500,
        rpn_post_nms_top_n_test=500,
        box_head=detection.faster_rcnn.TwoMLPHead(s.pyramid_width * 7 * 7, s.head_width),
        box_predictor=detection.faster_rcnn.FastRCNNPredictor(s.head_width, classes + 1),
        box_batch_size_per_image=s.boxes,
        mask_head=detection.mask_rcnn.MaskRCNNHeads(s.pyramid_width, (s.pyramid_width,) * s.mask_layers, 1),
        mask_predictor=detection.mask_rcnn.MaskRCNNPredictor(s.pyramid_width, s.pyramid_width, classes + 1),
    )
    return network


def choose(network: torch.nn.Module, *, score: float, overlap: float, most: int) -> None:
    """Set which instances the network keeps; see :class:`~medai.segment.detection.plane.settings.MaskRcnnSettings`."""
    heads: Any = network.roi_heads
    # torchvision keeps what is above its threshold; here a score of just that is kept, too.
    below = float(np.nextafter(np.float32(score), np.float32(-1)))
    heads.score_thresh, heads.nms_thresh, heads.detections_per_img = below, overlap, most
