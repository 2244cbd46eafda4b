"""The networks of a detector, built from plain settings: MONAI's RetinaNet on a small backbone, and a mask U-Net.

Nothing here needs torchvision: MONAI uses it for its pretrained ResNets, and asks for its matcher's class while it
matches anchors, which is done here without it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from .manifest import AnchorEntry, DetectorNetwork, MaskEntry, RetinaNet3DSettings, SelectEntry

if TYPE_CHECKING:
    import torch

ALPHA, GAMMA = 0.25, 2.0
BALANCE = {"batch_size_per_image": 64, "positive_fraction": 0.3, "min_neg": 16, "pool_size": 20}
"""Anchors that count in the loss of an image: hard negatives against positives, as in MONAI's LUNA16 example."""


def build_retinanet(network: DetectorNetwork, anchors: AnchorEntry, classes: int) -> torch.nn.Module:
    """Return the network with random weights: image (B, C, K, J, I) to maps of class logits and box offsets."""
    from monai.apps.detection.networks.retinanet_network import RetinaNet

    settings = network.settings
    return RetinaNet(
        spatial_dims=3,
        num_classes=classes,
        num_anchors=len(anchors.shapes),
        feature_extractor=_extractor(settings),
        size_divisible=settings.divisor,
    )


def build_detector(
    network: torch.nn.Module,
    anchors: AnchorEntry,
    levels: int,
    select: SelectEntry | None = None,
    *,
    loss: Literal["focal", "hard_negatives"] = "focal",
    reduced: bool = False,
) -> torch.nn.Module:
    """Wrap a network in MONAI's detector: losses in training, boxes along K, J, I in evaluation.

    Adaptive training sample selection (Zhang et al., CVPR 2020) matches anchors; boxes are regressed with a smooth L1
    loss on encoded offsets.

    Parameters
    ----------
    loss : {"focal", "hard_negatives"}
        Of the classes: the focal loss over all anchors, by the number of positive ones (Lin et al., ICCV 2017), or the
        cross-entropy over positives and the hardest negatives.
    reduced : bool
        Compute the network in bfloat16, and everything after it in float32.
    """
    import torch
    from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape

    generator = AnchorGeneratorWithAnchorShape(
        feature_map_scales=tuple(2**n for n in range(levels)), base_anchor_shapes=anchors.shapes
    )
    detector: Any = _detector_class()(_reduced(network) if reduced else network, generator)
    detector.set_atss_matcher(num_candidates=4, center_in_gt=False)
    if loss == "hard_negatives":
        detector.set_hard_negative_sampler(**BALANCE)
    else:
        detector.set_cls_loss(_focal_class()())
    smooth = torch.nn.SmoothL1Loss(beta=1 / 9, reduction="mean")
    detector.set_box_regression_loss(smooth, encode_gt=True, decode_pred=False)
    chosen = select or SelectEntry()
    detector.set_box_selector_parameters(
        score_thresh=chosen.score, topk_candidates_per_level=50, nms_thresh=chosen.nms, detections_per_img=chosen.most
    )
    trained: torch.nn.Module = detector
    return trained


def focal_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the focal loss by the number of positives: alpha 0.25 for them, gamma 2 (Lin et al., ICCV 2017, eq. 5).

    MONAI's ``FocalLoss`` cannot divide by the positives, and a mean over the thousands of empty anchors would vanish.
    """
    import torch

    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    wrong = torch.sigmoid(logits) * (1 - 2 * target) + target
    weight = ALPHA * target + (1 - ALPHA) * (1 - target)
    value: torch.Tensor = (weight * wrong**GAMMA * plain).sum() / target.sum().clamp(min=1)
    return value


@cache
def _focal_class() -> Any:
    import torch

    class Focal(torch.nn.Module):  # type: ignore[misc]
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            """Return :func:`focal_loss`."""
            return focal_loss(logits, target)

    return Focal


@cache
def _detector_class() -> Any:
    """Return MONAI's detector with a matching step that does not ask torchvision for its own matcher's class."""
    import torch
    from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector

    class Detector(RetinaNetDetector):  # type: ignore[misc]
        """As MONAI's, for adaptive training sample selection only."""

        def compute_anchor_matched_idxs(
            self, anchors: Any, targets: Any, num_anchor_locs_per_level: Any
        ) -> list[torch.Tensor]:
            """Return for each anchor the number of its box, or a negative number for background."""
            found = []
            for own, target in zip(anchors, targets, strict=True):
                boxes = target[self.target_box_key]
                if not len(boxes):
                    background = self.proposal_matcher.BELOW_LOW_THRESHOLD
                    found.append(torch.full((len(own),), background, dtype=torch.int64, device=own.device))
                    continue
                _, matched = self.proposal_matcher(
                    boxes.to(own.device), own, num_anchor_locs_per_level, self.num_anchors_per_loc
                )
                found.append(matched)
            return found

    return Detector


def build_mask_network(entry: MaskEntry) -> torch.nn.Module:
    """Return the second stage: (B, 2, n, n, n), the crop and its box, to mask logits (B, 1, n, n, n)."""
    from monai.networks.nets import UNet

    return UNet(
        spatial_dims=3, in_channels=2, out_channels=1, channels=entry.features, strides=(2, 2, 2), num_res_units=1,
        norm="INSTANCE",
    )  # fmt: skip


def _extractor(settings: RetinaNet3DSettings) -> torch.nn.Module:
    import torch
    from monai.networks.blocks import ResidualUnit
    from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork

    norm = ("group", {"num_groups": 8})

    class Extractor(torch.nn.Module):  # type: ignore[misc]
        """Residual levels of stride 2, 4, ... under a feature pyramid."""

        def __init__(self) -> None:
            super().__init__()
            self.out_channels = settings.pyramid
            before = (settings.in_channels, *settings.features)
            self.stages = torch.nn.ModuleList(
                ResidualUnit(3, a, b, strides=2, subunits=2, norm=norm, act="relu")
                for a, b in zip(before, settings.features, strict=False)
            )
            self.pyramid = FeaturePyramidNetwork(3, list(settings.features), settings.pyramid)

        def forward(self, image: Any) -> list[Any]:
            """Return the feature maps that the heads look at, the finest first."""
            value, maps = image, {}
            for number, stage in enumerate(self.stages):
                value = stage(value)
                maps[str(number)] = value
            return list(self.pyramid(maps).values())[: settings.levels]

    return Extractor()


def _reduced(network: torch.nn.Module) -> torch.nn.Module:
    """Return the network with its layers computed in bfloat16; it shares the weights."""
    import torch

    class Reduced(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            for name in ("spatial_dims", "num_classes", "size_divisible", "cls_key", "box_reg_key", "num_anchors"):
                setattr(self, name, getattr(network, name))

        def forward(self, image: Any) -> dict[str, list[torch.Tensor]]:
            """Return the maps in float32."""
            with torch.autocast(image.device.type, dtype=torch.bfloat16):
                maps = self.network(image)
            return {key: [value.float() for value in values] for key, values in maps.items()}

    return Reduced()
