import tlhelpers as tl
from tlhelpers.adaptation.monitor import DomainReport

import keras
import numpy as np
import pytest

L = keras.layers


def domains(shift, n=200, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 2 * n)
    x = (rng.normal(size=(2 * n, 2)) * 0.5 + np.stack([4 * y, 0 * y], 1)).astype("float32")
    x[n:, 1] += shift
    return x[:n], y[:n], x[n:], y[n:]


def model_with(slope, classifier=(-1.0, 1.0)):
    """The encoder starts as identity; the discriminator looks at the second feature, against 5."""
    kernel, bias = np.array([[0.0], [slope]]), np.array([-5.0 * slope])
    head = L.Dense(1, kernel_initializer=keras.initializers.Constant(kernel),
                   bias_initializer=keras.initializers.Constant(bias))  # fmt: skip
    classes = np.array([classifier, (0.0, 0.0)])
    classifier = L.Dense(2, kernel_initializer=keras.initializers.Constant(classes),
                         bias_initializer=keras.initializers.Constant([2.0, -2.0]))  # fmt: skip
    same = L.Dense(2, use_bias=False, kernel_initializer="identity")
    return tl.DANN(keras.Sequential([same]), classifier, head)


@pytest.mark.parametrize(
    ("shift", "slope", "says"),
    [
        (0.0, 1.0, "features of the two domains overlap"),
        (10.0, 1.0, "Discriminator and probe agree that the domains lie apart"),
        (10.0, -1e-9, "the discriminator is too weak"),
    ],
)
def test_a_fresh_probe_decides_what_an_accuracy_means(shift, slope, says):
    x_source, y_source, x_target, _ = domains(shift)
    model = model_with(slope)
    if says.endswith("weak"):
        model({"source": x_source[:1], "target": x_target[:1]})
        model.discriminator.bias.assign([1.0])  # says "target" of everything: 50 %
    report = tl.check_domains(model, x_source, y_source, x_target)
    assert says in str(report)
    assert report.domain_accuracy == (1.0 if "agree" in says else 0.5)
    assert (report.probe_accuracy > 0.99) == (shift > 0)
    assert report.a_distance == pytest.approx(4 * report.probe_accuracy - 2)
    assert report.source_accuracy > 0.95 and report.label_shift < 0.1
    assert f"fresh probe {report.probe_accuracy:.0%}" in str(report)


def test_a_collapsed_encoder_is_no_alignment():
    x_source, y_source, x_target, _ = domains(3.0)
    constant = keras.Sequential([L.Dense(2, kernel_initializer="zeros", bias_initializer="ones")])
    report = tl.check_domains(tl.DANN(constant, L.Dense(2)), x_source, y_source, x_target)
    assert report.collapsed and "collapsed, not aligned" in str(report)


def test_missing_classes_are_a_reason_to_warn():
    x_source, y_source, x_target, y_target = domains(0.0, n=300)
    half = x_target[y_target == 0]
    report = tl.check_domains(model_with(1.0), x_source, y_source, half)
    assert report.label_shift == pytest.approx(0.5, abs=0.1)
    assert "If the target lacks classes" in str(report)


def test_without_a_discriminator_the_probe_speaks_alone():
    x_source, y_source, x_target, _ = domains(10.0)
    model = tl.CORAL(keras.Sequential([L.Identity()]), L.Dense(2))
    report = tl.check_domains(model, x_source, y_source, x_target)
    assert report.domain_accuracy is None
    assert "discriminator" not in str(report) and "still lie apart" in str(report)


def test_every_pair_of_levels_has_a_verdict():
    for own in (None, 0.5, 0.7, 1.0):
        for probe in (0.5, 0.7, 1.0):
            assert DomainReport(probe, 4 * probe - 2, own, 1.0, 0.0, False).verdict
            assert not DomainReport(probe, 4 * probe - 2, own, 1.0, 0.0, False).warning


def test_monitor_prints_and_keeps_reports(capsys):
    x_source, y_source, x_target, _ = domains(1.0)
    model = model_with(1.0)
    model.compile("sgd")
    monitor = tl.DomainMonitor(x_source, y_source, x_target, every=2)
    batches = tl.paired_batches(x_source, y_source, x_target, 50)
    model.fit(batches, epochs=4, verbose=0, callbacks=[monitor])
    assert list(monitor.reports) == [1, 3]
    expected = [f"Epoch {n + 1}: {report}" for n, report in monitor.reports.items()]
    assert capsys.readouterr().out.splitlines() == expected


def test_a_diverged_epoch_is_reported_and_the_fit_goes_on(capsys):
    x_source, y_source, x_target, _ = domains(1.0)
    model = model_with(1.0)
    model.compile("sgd")
    spoil = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: (
            epoch == 1 and model.classifier.kernel.assign(np.full((2, 2), np.nan))
        )
    )
    monitor = tl.DomainMonitor(x_source, y_source, x_target)
    batches = tl.paired_batches(x_source, y_source, x_target, 50)
    model.fit(batches, epochs=3, verbose=0, callbacks=[spoil, monitor])
    assert [monitor.reports[epoch].diverged for epoch in range(3)] == [False, True, True]
    assert str(monitor.reports[2]) == monitor.reports[2].verdict
    assert "Epoch 3: The model gives NaN or infinity: diverged." in capsys.readouterr().out
    assert not monitor.reports[2].warning


def test_the_larger_set_is_drawn_from_not_cut():
    x_source, y_source, x_target, _ = domains(0.0, n=600)
    order = np.argsort(y_source, kind="stable")
    arguments = (model_with(1.0), x_source[order], y_source[order])
    report = tl.check_domains(*arguments, x_target[:200])
    assert report.label_shift < 0.15 and not report.warning
    assert report.probe_accuracy < 0.6
    assert report.source_accuracy > 0.95  # samples and labels stay together
    assert report == tl.check_domains(*arguments, x_target[:200])


def test_half_precision_is_read():
    keras.utils.set_random_seed(0)
    x_source, y_source, x_target, _ = domains(10.0)
    features, classes, domain = (L.Dense(n, dtype="mixed_bfloat16") for n in (2, 2, 1))
    model = tl.DANN(keras.Sequential([features]), classes, domain)
    assert keras.ops.dtype(model.encoder(x_source[:1])) == "bfloat16"
    report = tl.check_domains(model, x_source, y_source, x_target)
    assert report.probe_accuracy > 0.95 and not report.diverged


def test_bad_arguments():
    x_source, y_source, x_target, _ = domains(1.0)
    with pytest.raises(ValueError, match=r"`model` must be a DANN or .*Received: .*Sequential"):
        tl.check_domains(keras.Sequential([L.Dense(2)]), x_source, y_source, x_target)
    with pytest.raises(ValueError, match="label"):
        tl.check_domains(model_with(1.0), x_source, y_source[1:], x_target)
    with pytest.raises(ValueError, match="rows"):
        tl.check_domains(model_with(1.0), x_source, y_source, x_target[:5])
    with pytest.raises(ValueError, match=r"`every` must be .*1 or above. Received: every=0. 1 rep"):
        tl.DomainMonitor(x_source, y_source, x_target, every=0)
    with pytest.raises(ValueError, match=r"`seed` must be a whole number .*Received: seed=-1"):
        tl.check_domains(model_with(1.0), x_source, y_source, x_target, seed=-1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"x_target": domains(0.0)[2][:9]},
            r"x_target`? must have at least 10 rows .*Received.*\(9,",
        ),
        (
            {"x_source": domains(0.0)[0][:9], "y_source": [0] * 9},
            "x_source`? must have at least 10",
        ),
        ({"y_source": domains(0.0)[1][1:]}, "Received: 200 samples, 199 labels"),
        ({"y_source": domains(0.0)[1] / 2}, "Labels must be integers"),
        ({"x_target": np.full((20, 2), np.nan)}, "x_target`? must be finite.*20 of 20 rows"),
        ({"x_target": domains(0.0)[3]}, "x_target`? must be an array of real numbers"),
    ],
)
def test_monitor_and_check_refuse_data_before_any_work(change, message):
    x_source, y_source, x_target, _ = domains(0.0)
    data = {"x_source": x_source, "y_source": y_source, "x_target": x_target} | change
    with pytest.raises(ValueError, match=message):
        tl.DomainMonitor(**data)
    with pytest.raises(ValueError, match=message):
        tl.check_domains(model_with(1.0), **data)


def test_labels_beyond_the_classes_of_the_model_are_refused():
    x_source, y_source, x_target, _ = domains(0.0)
    model = model_with(1.0)
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"Labels must be in 0\.\.1\. Received: labels in 1\.\.2"):
        tl.check_domains(model, x_source, y_source + 1, x_target)
    monitor = tl.DomainMonitor(x_source, y_source + 1, x_target)
    epochs = []
    count = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
    with pytest.raises(ValueError, match=r"Labels must be in 0\.\.1"):
        model.fit(tl.paired_batches(x_source, y_source, x_target, 50), verbose=0,
                  callbacks=[count, monitor])  # fmt: skip
    assert not epochs
