"""A training is planned from one reading of the model, and planning leaves the model as it is."""

from tlhelpers.models import anatomy, graph
from tlhelpers.models.anatomy import Anatomy
from tlhelpers.models.heads import build_classifier, build_text_classifier
from tlhelpers.tuning import fine_tuning
from tlhelpers.tuning.fine_tuning import fine_tune
from tlhelpers.tuning.freezing import Choice, top_of_the_base, unfreeze
from tlhelpers.tuning.gradual import GradualUnfreezing

import numpy as np
import pytest
from toys import LAYOUTS, TRAIN, VALIDATION, TinyBert, base_named, make, tokens

AMOUNTS = [
    {"blocks": 1},
    {"blocks": 2, "batchnorm": "train"},
    {"fraction": 1.0},
    {"layers": 1},
    {"from_layer": "conv_3", "batchnorm": "train"},
]


@pytest.fixture
def walks(monkeypatch):
    """List the model of every graph that is walked."""
    walked, walk = [], graph.walk

    def counted(model):
        walked.append(model.name)
        return walk(model)

    for module in (graph, anatomy):
        monkeypatch.setattr(module, "walk", counted)
    return walked


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_training_in_two_phases_reads_few_graphs(layout, walks):
    fine_tune(make(layout), TRAIN, VALIDATION, unfreeze=1, head_epochs=1, epochs=1, verbose=0)
    assert 0 < len(walks) <= 8, walks


def test_a_text_model_too(walks):
    model = build_text_classifier(TinyBert(layers=2), 2, sequence_length=6)
    walks.clear()
    data = tokens(4), np.arange(4) % 2
    fine_tune(model, data, unfreeze=1, head_epochs=1, epochs=1, verbose=0)
    assert 0 < len(walks) <= 8, walks


def test_a_classifier_with_preprocessing_too(walks):
    images = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3)).astype("uint8")
    model = build_classifier(base_named(), 3)
    fine_tune(model, (images, np.arange(6) % 3), head_epochs=1, epochs=1, verbose=0)
    assert 0 < len(walks) <= 8, walks


def flags(model):
    return [layer.trainable for layer in model._flatten_layers()], [
        variable.trainable for variable in model.variables
    ]


class StopHere(Exception):
    pass


@pytest.mark.parametrize("layout", LAYOUTS)
def test_planning_leaves_every_flag_as_it_was(layout, monkeypatch):
    def stop(*arguments):
        raise StopHere

    monkeypatch.setattr(fine_tuning, "_train", stop)
    model = make(layout)
    model.get_layer(index=1).trainable = False
    before = flags(model)
    with pytest.raises(StopHere):  # the whole plan is made, and the training begins
        fine_tune(model, TRAIN, VALIDATION, unfreeze={"fraction": 0.6}, verbose=0)
    assert flags(model) == before
    with pytest.raises(ValueError, match="Received"):
        GradualUnfreezing(decay=2.0).fit(model, TRAIN)
    assert flags(model) == before


@pytest.mark.parametrize("amount", AMOUNTS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("begin", ["as built", "all frozen", "all open"])
def test_what_is_planned_is_what_trains(amount, layout, begin):
    model = make(layout)
    if begin != "as built":
        model.trainable = begin == "all open"
    reading = Anatomy(model)
    planned = top_of_the_base(reading, **amount)
    ahead, (_, count) = {id(v) for v in planned.variables}, planned.learning
    table = planned.apply()
    assert {id(v) for v in model.trainable_variables} == ahead
    assert table.trainable == count
    frozen = Choice(reading, [])
    ahead = {id(v) for v in frozen.variables}
    frozen.apply()
    assert {id(v) for v in model.trainable_variables} == ahead
    assert str(unfreeze(model, **amount)) == str(table)  # the verb, with a reading of its own


def test_a_plan_is_made_of_numbers_that_come_true():
    model = make()
    history = fine_tune(model, TRAIN, unfreeze=1, head_epochs=0, epochs=1, verbose=0)
    trained = sum(v.numpy().size for v in model.trainable_variables)
    assert history.phases[0].trainable == trained
