"""Checkpoints: whole or not at all, and only for what they belong to; a resumed training ends with the same weights."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

import torch

from medai.core.errors import Cancelled, DeviceError, InputError, ModelError, OutputError
from medai.core.progress import CancelToken, no_progress
from medai.segment.training.cases import Case
from medai.segment.training.loop import device_of, rate, train
from medai.segment.training.patches import PatchSamples
from medai.segment.training.recipe import Recipe
from medai.segment.training.state import fingerprint_of, read_state


@pytest.fixture(scope="module")
def cases():
    random = np.random.default_rng(9)
    return [
        Case(
            f"c{n}",
            random.normal(size=(18, 17, 16)).astype(np.float32),
            random.integers(0, 3, (18, 17, 16)).astype("u1"),
        )
        for n in range(3)
    ]


def made_recipe(recipe_dict, **optimiser):
    values = {"epochs": 3, "batch": 2, "threads": 1, "warmup_steps": 1, **optimiser}
    return Recipe.parse({**recipe_dict, "optimiser": values})


def run(recipe, cases, **more):
    return train(PatchSamples(cases, recipe), recipe, **{"progress": no_progress, "cancel": CancelToken(), **more})


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("optimiser", [{}, {"kind": "sgd", "schedule": "poly", "ema": 0}, {"precision": "bfloat16"}])
def test_a_resumed_training_equals_an_uninterrupted_one(recipe_dict, cases, tmp_path, optimiser):
    recipe = made_recipe(recipe_dict, **optimiser)
    whole = run(recipe, cases)
    token = CancelToken()

    def stop(fraction, message=""):
        if message.startswith("epoch 1 "):
            token.cancel()

    state = tmp_path / "state.pt"
    with pytest.raises(Cancelled):
        run(recipe, cases, checkpoint=state, cancel=token, progress=stop)
    seen = []
    rest = run(recipe, cases, checkpoint=state, on_epoch=lambda epoch, loss, lr: seen.append(epoch))
    assert seen == [2, 3]
    assert rest.losses == whole.losses
    assert same_weights(rest.network, whole.network)
    done = run(recipe, cases, checkpoint=state, on_epoch=lambda *a: pytest.fail("nothing is left to train"))
    assert same_weights(done.network, whole.network)


def test_dropout_is_resumed_too(recipe_dict, cases, tmp_path):
    network = {"name": "unet", "settings": {"channels": [4, 8], "strides": [2], "dropout": 0.3}}
    recipe = Recipe.parse({**made_recipe(recipe_dict, epochs=2).to_dict(), "network": network})
    whole = run(recipe, cases)
    token = CancelToken()
    with pytest.raises(Cancelled):
        run(recipe, cases, checkpoint=tmp_path / "s.pt", cancel=token, progress=lambda *a: token.cancel())
    torch.rand(7)  # somebody else uses the process's random numbers
    assert same_weights(run(recipe, cases, checkpoint=tmp_path / "s.pt").network, whole.network)


def test_a_checkpoint_of_something_else_or_a_damaged_one_is_refused(recipe_dict, cases, tmp_path):
    recipe = made_recipe(recipe_dict, epochs=1)
    state = tmp_path / "state.pt"
    run(recipe, cases, checkpoint=state)
    for other, data in (
        (Recipe.parse({**recipe.to_dict(), "seed": 4}), cases),
        (made_recipe(recipe_dict, epochs=2), cases),
        (recipe, cases[:2]),
    ):
        with pytest.raises(InputError, match="another recipe, other data"):
            run(other, data, checkpoint=state)
    data = state.read_bytes()
    for bad in (data[: len(data) // 2], b"", b"hello"):
        state.write_bytes(bad)
        with pytest.raises(InputError, match="damaged"):
            run(recipe, cases, checkpoint=state)
    torch.save({"format": 99}, state)
    with pytest.raises(InputError, match="no checkpoint of this version"):
        run(recipe, cases, checkpoint=state)


def test_texts_and_threads_of_samples_do_not_matter_but_weights_at_the_start_do(recipe_dict):
    recipe = made_recipe(recipe_dict)
    other = Recipe.parse({**made_recipe(recipe_dict, workers=3).to_dict(), "id": "other"})
    assert fingerprint_of(recipe, "x", None) == fingerprint_of(other, "x", None)
    assert fingerprint_of(recipe, "x", None) != fingerprint_of(recipe, "y", None)
    weights = {"a": torch.ones(2)}
    assert fingerprint_of(recipe, "x", weights) != fingerprint_of(recipe, "x", None)
    assert fingerprint_of(recipe, "x", weights) != fingerprint_of(recipe, "x", {"a": torch.zeros(2)})


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(recipe_dict, cases, tmp_path):
    recipe = made_recipe(recipe_dict)
    folder = tmp_path / "work"
    folder.mkdir()
    state = folder / "state.pt"
    token = CancelToken()
    with pytest.raises(Cancelled):
        run(recipe, cases, checkpoint=state, cancel=token, progress=lambda *a: token.cancel())
    assert read_state(state, fingerprint_of(recipe, PatchSamples(cases, recipe).digest, None)).epoch == 1
    before = state.read_bytes()

    def vanish(epoch, loss, lr):
        folder.rename(tmp_path / "moved")

    with pytest.raises(OutputError):
        run(recipe, cases, checkpoint=state, on_epoch=vanish)
    assert (tmp_path / "moved" / "state.pt").read_bytes() != before  # epoch 2 was written, epoch 3 could not be
    assert [p.name for p in (tmp_path / "moved").iterdir()] == ["state.pt"]


def test_a_loss_that_is_no_number_stops_the_training(recipe_dict, cases):
    bad = [Case(c.name, np.full_like(c.image, np.nan), c.classes) for c in cases]
    with pytest.raises(ModelError, match="epoch 1; training stopped"):
        run(made_recipe(recipe_dict), bad)


def test_switches_of_the_process_are_set_back(recipe_dict, cases):
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    run(made_recipe(recipe_dict, epochs=1, threads=3), cases)
    assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled() == strict
    assert torch.utils.deterministic.fill_uninitialized_memory is True


def test_weights_to_begin_with_are_used(recipe_dict, cases):
    recipe = made_recipe(recipe_dict, epochs=1, learning_rate=1e-12, ema=0)
    first = run(recipe, cases)
    start = {name: value + 0.25 for name, value in first.network.state_dict().items()}
    second = run(recipe, cases, start=start)
    for name, value in second.network.state_dict().items():
        torch.testing.assert_close(value, start[name], atol=1e-6, rtol=0)


def test_poly_falls_from_one_to_zero():
    assert rate(0, 10, 0, "poly") == 1
    assert rate(5, 10, 0, "poly") == pytest.approx(0.5**0.9)
    assert rate(10, 10, 0, "poly") == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_said(recipe_dict):
    with pytest.raises(DeviceError, match="CUDA"):
        device_of(made_recipe(recipe_dict, device="cuda").optimiser)
    assert device_of(made_recipe(recipe_dict).optimiser).type == "cpu"


class Overflow(torch.autograd.Function):
    """Passes values on; the gradient of chosen calls is infinite, as after an overflow."""

    bad: frozenset[int] = frozenset()
    calls = 0

    @staticmethod
    def forward(ctx, value):
        """Count the call."""
        ctx.call = Overflow.calls
        Overflow.calls += 1
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        """Overflow in the chosen calls."""
        return gradient * float("inf") if ctx.call in Overflow.bad else gradient


@pytest.mark.parametrize(("bad", "stops"), [({1}, False), (set(range(100)), True)])
def test_a_step_whose_gradient_overflows_is_left_out_and_many_stop_the_training(
    recipe_dict, cases, monkeypatch, bad, stops
):
    import medai.segment.training.loop as loop

    real = loop.outputs
    Overflow.bad, Overflow.calls = frozenset(bad), 0
    monkeypatch.setattr(loop, "outputs", lambda network, image: [Overflow.apply(x) for x in real(network, image)[:1]])
    recipe = made_recipe(recipe_dict, epochs=2, batch=1)
    if stops:
        with pytest.raises(ModelError, match="gradients that are not finite"):
            run(recipe, cases)
    else:
        made = run(recipe, cases)
        assert all(torch.isfinite(w).all() for w in made.network.state_dict().values())
