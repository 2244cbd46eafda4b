"""Each module's own self test, as Slicer's button "Test" runs it."""

import pytest

MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")


@pytest.mark.parametrize("name", MODULES)
def test_self_test(load_module, name):
    import slicer

    load_module(name)
    slicer.selfTests[name]()


@pytest.mark.parametrize("name", MODULES)
def test_module_describes_itself(load_module, name):
    module, _widget = load_module(name, enter=False)
    assert module.title.startswith("MedAI ")
    assert list(module.categories) == ["MedAI"]
    assert list(module.contributors)
    assert "Research use only" in module.helpText
    assert module.acknowledgementText
    assert not module.icon.isNull()
