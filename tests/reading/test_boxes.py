import json

import tlhelpers as tl
from tlhelpers.models.centres import draw_centres
from tlhelpers.reading import detecting
from tlhelpers.reading.boxes import evaluate_boxes, plot_boxes, threshold_for
from tlhelpers.reading.detecting import Found, detect

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

RNG = np.random.default_rng(0)


def found(*rows):
    """Rows of (left, top, right, bottom, score, label)."""
    rows = np.array(rows, float).reshape(-1, 6)
    return Found(rows[:, :4], rows[:, 4], rows[:, 5].astype(int))


class Seer(keras.Model):
    """A detector that sees every bright square of 16 pixels whole in its tile, by its looks."""

    output_shape = (None, None, None, 5)
    input_shape = (None, None, None, 3)

    def compute_output_shape(self, shape):
        return (shape[0], shape[1] // 4, shape[2] // 4, 5)

    def predict_on_batch(self, tiles):
        said = []
        for tile in tiles[..., 0]:
            rows, columns = np.nonzero(tile[:-15, :-15] == 200)  # upper left corners are marked
            boxes = [[c, r, c + 16, r + 16] for r, c in zip(rows, columns, strict=True)]
            drawn = draw_centres(boxes, [0] * len(boxes), tile.shape, 1)
            logits = np.where(drawn[..., :1] == 1, 3.0, -9.0)
            said.append(np.concatenate([logits, drawn[..., 1:-1]], axis=-1))
        return np.stack(said)


@pytest.fixture(autouse=True)
def seen_by_a_seer(monkeypatch):
    plain = detecting.stride_of
    monkeypatch.setattr(
        detecting, "stride_of", lambda m, *rest: 4 if isinstance(m, Seer) else plain(m, *rest)
    )


@given(
    st.integers(40, 300), st.integers(40, 300), st.sampled_from([64, 96]), st.integers(20, 50),
    st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=25)
def test_tiles_find_each_object_once_wherever_it_lies(height, width, tile, overlap, seed):
    rng, picture = np.random.default_rng(seed), np.zeros((height, width, 3), "uint8")
    slots = [(y, x) for y in range(0, height - 19, 20) for x in range(0, width - 19, 20)]
    true = []
    for y, x in (slots[n] for n in rng.permutation(len(slots))[: rng.integers(1, 9)]):
        y, x = y + rng.integers(0, 4), x + rng.integers(0, 4)
        picture[y : y + 16, x : x + 16] = 90
        picture[y, x] = 200
        true.append([x, y, x + 16, y + 16])
    answer = detect(Seer(), picture, tile=tile, overlap=overlap)
    assert sorted(answer.boxes.round(2).tolist()) == sorted(np.array(true, float).tolist())


def test_zoom_gives_boxes_of_the_picture_as_it_is():
    picture = np.zeros((256, 256, 3), "uint8")
    picture[64:88, 64:88] = 200  # at a quarter its middle stays as bright: corners for the seer
    answer = detect(Seer(), picture, tile=64, overlap=32, zoom=0.25).boxes
    assert len(answer) and answer[:, 2:] - answer[:, :2] == pytest.approx(64)
    assert (answer[:, :2] >= 64).all() and (answer[:, :2] < 88).all()


def test_a_report_by_hand():
    answers = [
        found((0, 0, 10, 10, 0.9, 0), (20, 0, 30, 10, 0.8, 0), (0, 0, 10, 10, 0.7, 1)),
        found((5, 5, 9, 9, 0.2, 1)),
        found(),
    ]
    boxes = [[[0, 0, 10, 10]], [[5, 5, 9, 9]], [[0, 0, 4, 4]]]
    report = evaluate_boxes(answers, boxes, [[0], [1], [1]], ["oak", "elm"], threshold=0.5)
    # oak: right, wrong; elm: wrong (another class), right, and one that was missed
    assert report.per_class["oak"] == {
        "AP40": 1.0, "AP50": 1.0, "precision": 0.5, "recall": 1.0, "boxes": 1
    }  # fmt: skip
    assert report.per_class["elm"]["AP50"] == 0.25 and report.per_class["elm"]["recall"] == 0
    assert report.average_precision == {0.4: 0.625, 0.5: 0.625}
    assert (report.found, report.boxes, report.pictures) == (3, 3, 3)
    assert (report.precision, report.recall) == (1 / 3, 1 / 3) and report.f1 == pytest.approx(1 / 3)
    assert "AP40 0.625" in str(report) and "| oak | 1.000 |" in report.to_markdown()
    assert json.loads(report.to_json())["average_precision"]["0.4"] == 0.625


def test_a_looser_overlap_is_never_a_worse_score():
    true = [RNG.integers(0, 50, (9, 2)) for _ in range(3)]
    true = [np.hstack([t, t + 12]).astype(float) for t in true]
    near = [
        Found(t + RNG.normal(0, 3, t.shape), RNG.random(len(t)), np.zeros(len(t), int))
        for t in true
    ]
    scores = evaluate_boxes(near, true, iou=(0.2, 0.4, 0.6, 0.8)).average_precision
    assert sorted(scores.values(), reverse=True) == list(scores.values())


def test_pictures_without_objects_or_answers_count():
    report = evaluate_boxes([found(), found((0, 0, 9, 9, 0.9, 0))], [[[0, 0, 9, 9]], []])
    assert report.average_precision[0.5] == 0.0 and report.found == 1
    nothing = evaluate_boxes([found()], [[[0, 0, 9, 9]]])
    assert nothing.average_precision[0.5] == 0.0 and np.isnan(nothing.precision)
    assert json.loads(nothing.to_json())["precision"] is None


def test_the_threshold_is_the_best_of_all_scores():
    true = [np.array([[20 * n, 0, 20 * n + 10, 10] for n in range(8)], float)]
    right = RNG.random(20) < 0.4
    free = iter(true[0])
    boxes = [next(free, [0, 50, 5, 55]) if hit else [0, 50, 5, 55] for hit in right]
    answer = [Found(np.array(boxes), RNG.random(20).round(1), np.zeros(20, int))]
    f1 = {s: evaluate_boxes(answer, true, threshold=s).f1 for s in np.unique(answer[0].scores)}
    assert f1[threshold_for(answer, true)] == max(f1.values())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"boxes": []}, "a list for each picture"),
        ({"boxes": [[]], "labels": None}, "a true box at least"),
        ({"boxes": [[[0, 0, 1]]]}, r"\(n, 4\)"),
        ({"labels": [[0, 1]]}, "for each of 1 boxes"),
        ({"iou": [0]}, "`iou` must be"),
        ({"threshold": 2}, "`threshold` must be"),
        ({"class_names": "tree"}, "class_names"),
    ],
)
def test_a_bad_evaluation_is_refused(change, says):
    arguments = {"found": [found()], "boxes": [[[0, 0, 4, 4]]], "labels": [[0]], **change}
    with pytest.raises(ValueError, match=says):
        evaluate_boxes(**arguments)


def test_bad_detections_are_refused():
    picture = np.zeros((64, 64, 3), "uint8")
    classifier = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="detector of build_detector"):
        detect(classifier, picture)
    for change, says in [
        ({"overlap": 64}, "`overlap`"), ({"zoom": 0}, "`zoom`"), ({"tile": 0}, "`tile`"),
        ({"threshold": -1}, "`threshold`"), ({"picture": picture[0]}, "Images must have shape"),
        ({"picture": np.zeros((0, 4, 3))}, "one or more"),
        ({"picture": np.full((8, 8, 3), 0.5)}, "Multiply by 255"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=says):
            detect(**{"model": Seer(), "picture": picture, "tile": 64, "overlap": 16, **change})
    vgg16 = keras.applications.VGG16(include_top=False, weights=None, input_shape=(None, None, 3))
    with pytest.raises(ValueError, match=r"`tile` must be a multiple.*tile=100.*Try 96"):
        detect(tl.build_detector(vgg16, 1, filters=2), picture, tile=100)


def test_a_drawing_counts_its_boxes():
    answer = found((1, 1, 9, 9, 0.9, 0), (2, 2, 20, 20, 0.1, 0))
    figure = plot_boxes(np.zeros((30, 40, 3), "uint8"), answer, [[0, 0, 8, 8]], ["oak"])
    assert "1 true boxes (dashed), 1 found" in tl.describe_figure(figure)
    assert len(figure.axes[0].patches) == 2 and figure.axes[0].texts[0].get_text() == "oak 0.90"
    with pytest.raises(ValueError, match="one picture"):
        plot_boxes(np.zeros((2, 30, 40, 3)))
