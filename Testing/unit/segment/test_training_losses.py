"""Dice + cross-entropy: equal to MONAI's, with its gradient; coarser outputs and their targets."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

import torch

from medai.segment.networks import build_network
from medai.segment.training.heads import at_level, outputs
from medai.segment.training.losses import dice_ce


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("missing", [False, True])
def test_loss_and_gradient_equal_monais(classes, missing):
    from monai.losses import DiceCELoss
    from monai.networks.utils import one_hot

    random = torch.Generator().manual_seed(5)
    scores = 3 * torch.randn((2, classes, 6, 7, 8), generator=random)
    target = torch.randint(0, classes - 1 if missing else classes, (2, 6, 7, 8), generator=random)
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    loss = dice_ce(ours, target)
    expected = DiceCELoss(include_background=False, softmax=True, batch=True)(theirs, one_hot(target[:, None], classes))
    loss.backward()
    expected.backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-9)


def test_a_perfect_answer_costs_nothing():
    target = torch.randint(0, 3, (1, 5, 5, 5), generator=torch.Generator().manual_seed(1))
    scores = 60.0 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1).float()
    assert float(dice_ce(scores, target)) < 1e-4
    assert float(dice_ce(-scores, target)) > 10


def test_coarser_outputs_come_in_their_own_resolution():
    network = build_network("unet3d", {"in_channels": 1, "out_channels": 3, "filters": [4, 8, 8, 8],
                                       "deep_supervision": True})  # fmt: skip
    network.train()
    image = torch.zeros((1, 1, 16, 24, 32))
    shapes = [tuple(x.shape) for x in outputs(network, image)]
    assert shapes == [(1, 3, 16, 24, 32), (1, 3, 8, 12, 16), (1, 3, 4, 6, 8)]
    stacked = network(image)
    assert torch.equal(stacked[:, 0], outputs(network, image)[0])
    single = build_network("basic_unet", {"in_channels": 1, "out_channels": 3})
    assert len(outputs(single, torch.zeros((1, 1, 32, 32, 32)))) == 1


def test_a_coarser_target_is_the_middle_of_each_block():
    classes = torch.arange(8 * 8 * 8).reshape(1, 8, 8, 8)
    assert torch.equal(at_level(classes, torch.Size((8, 8, 8))), classes)
    coarse = at_level(classes, torch.Size((4, 2, 8)))
    assert coarse.shape == (1, 4, 2, 8)
    assert int(coarse[0, 1, 1, 3]) == int(classes[0, 3, 6, 3])
