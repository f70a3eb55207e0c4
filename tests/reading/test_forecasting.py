"""The forecaster in use: units, sorted quantiles, its file, and our pretrained one."""

import subprocess
import sys

import tlhelpers as tl

import numpy as np
import pytest

MONTHS = np.arange(60)
SEASONS = 100 + MONTHS + 30 * np.sin(MONTHS * np.pi / 6)


@pytest.fixture
def untrained():
    tl.set_seed(0)
    return tl.Forecaster(tl.build_forecaster(width=3))


def spoil(forecaster):
    """Give the head weights that turn its quantiles around."""
    random = np.random.default_rng(0)
    layer = forecaster.model.get_layer("correction")
    layer.set_weights([random.normal(0, 0.3, w.shape) for w in layer.get_weights()])
    return forecaster


def test_the_unit_of_a_series_is_that_of_its_forecast(untrained):
    spoil(untrained)
    small, large = untrained([SEASONS]), untrained([1000 * SEASONS])
    np.testing.assert_allclose(1000 * small, large, rtol=1e-4)
    np.testing.assert_allclose(untrained([SEASONS[-36:]]), small)  # it reads the last ones


def test_quantiles_are_in_order(untrained):
    ahead = spoil(untrained)([SEASONS])
    assert (np.diff(ahead, axis=-1) >= 0).all() and np.isfinite(ahead).all()


@pytest.mark.parametrize("quantiles", [(0.1, 0.5), (0.1, 0.4, 0.9)])
def test_other_quantiles_than_the_models_are_refused(untrained, quantiles):
    with pytest.raises(ValueError, match="`quantiles` must be the model's 3"):
        tl.Forecaster(untrained.model, quantiles)


def test_its_file_says_the_same_in_a_fresh_process(untrained, tmp_path):
    tl.save_forecaster(tmp_path / "mine.npz", spoil(untrained))
    np.save(tmp_path / "x.npy", SEASONS)
    code = (
        "import numpy as np, tlhelpers as tl; x = np.load('x.npy'); "
        "np.save('y.npy', tl.load_forecaster('mine.npz')([x]))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), untrained([SEASONS]), rtol=1e-6)


def test_bad_files_are_named(untrained, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.npz"):
        tl.save_forecaster(tmp_path / "mine.keras", untrained)
    path = tl.save_forecaster(tmp_path / "mine.npz", untrained)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match="a file of save_forecaster, whole"):
        tl.load_forecaster(path)
    np.savez(tmp_path / "other.npz", quantiles=[0.5], history=36, w=[1.0])
    with pytest.raises(ValueError, match=r"other\.npz must hold the weights of a forecaster"):
        tl.load_forecaster(tmp_path / "other.npz")
    with pytest.raises(ValueError, match="forecaster-tourism"):
        tl.load_forecaster("tourism")


def test_no_weight_is_dropped_unsaid(untrained, tmp_path):
    with pytest.raises(ValueError, match=r"a Forecaster\. Received: Functional"):
        tl.save_forecaster(tmp_path / "mine.npz", untrained.model)
    untrained.model.get_layer("correction").enable_lora(2)
    with pytest.raises(ValueError, match="left over: correction/lora_kernel_a"):
        tl.save_forecaster(tmp_path / "mine.npz", untrained)
    assert not list(tmp_path.iterdir())


def test_ours_goes_on_with_a_season_and_a_trend_better_than_a_year_ago():
    forecaster = tl.load_forecaster()
    known = tl.Series("made", SEASONS, np.zeros(0), "2020-01").hold_out(12)
    report = tl.evaluate_forecasts(forecaster([known.history]), [known])
    assert report.mase < 0.8 * report.naive_mase and forecaster.history == 36
