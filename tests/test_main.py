import subprocess
import sys
from pathlib import Path

from tlhelpers.__main__ import main
from tlhelpers.sources import assets, preparing

import pytest

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.py"))


@pytest.fixture(autouse=True)
def small_catalog(monkeypatch):
    monkeypatch.setattr(assets, "catalog", lambda: {"vgg16": {}, "mnist": {}})
    monkeypatch.setattr(preparing, "SETS", {})


def test_fetch_fetches_what_is_named(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(assets, "fetch", asked.append)
    assert main(["fetch", "mnist"]) == 0
    assert asked == ["mnist"] and capsys.readouterr().out == "mnist: ready\n"
    assert main(["fetch", "--all"]) == 0
    assert asked == ["mnist", "vgg16", "mnist"]


def test_failed_fetch_says_why_and_goes_on(monkeypatch, capsys):
    def fetch(asset):
        if asset == "vgg16":
            raise ValueError("no index. Connect.")

    monkeypatch.setattr(assets, "fetch", fetch)
    assert main(["fetch", "--all"]) == 1
    out, err = capsys.readouterr()
    assert out == "vgg16: failed\nmnist: ready\n"
    assert "error: 1 of 2 not fetched:\n  vgg16: no index. Connect." in err


def test_interrupted_fetch(monkeypatch, capsys):
    def fetch(asset):
        raise KeyboardInterrupt

    monkeypatch.setattr(assets, "fetch", fetch)
    assert main(["fetch", "mnist"]) == 130
    assert "nothing half" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["fetch", "vgg"], "unknown asset 'vgg'. Did you mean 'vgg16'"),
        (["fetch"], "name one or more assets, or --all"),
        (["fetch", "mnist", "--all"], "name one or more assets, or --all"),
        ([], "VERB"),
        (["fletch"], "fletch"),
        (["recipe", "lore"], "unknown recipe 'lore'. Did you mean 'lora'"),
    ],
)
def test_wrong_use_exits_with_two(argv, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_recipes_are_listed_with_a_line_each_and_printed_as_they_are(capsys):
    assert main(["recipe"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [path.stem for path in RECIPES]
    assert all(30 < len(line) <= 110 and line.endswith(".") for line in lines)
    for path in RECIPES:
        assert main(["recipe", path.stem]) == 0
        assert capsys.readouterr().out == path.read_text(encoding="utf8")


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "tlhelpers", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "fetch" in done.stdout
    assert done.stderr == ""
