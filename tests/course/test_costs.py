"""What much data costs is reckoned from what was measured, and never better than that."""

import re
from pathlib import Path

from course.costs import MARK, cost, efficiency, images_per_second, read_measured, say_costs

import pytest

DOCS = Path(__file__).parents[2] / "docs"
MEASURED = {
    "machine": "M", "backbone": "vgg16", "image_size": 64, "images": 500,
    "features_per_image": 2048, "bytes_per_image": 8192.0, "workers": {},
    "ray_workers": {"1": 10.0, "2": 16.0}, "peak_mb": {"1": 1500.0}, "start_seconds": 36.0,
}  # fmt: skip


def with_rates(**rates):
    return {**MEASURED, "ray_workers": {name[1:]: rate for name, rate in rates.items()}}


def test_more_workers_than_were_measured_lose_what_two_lose():
    assert efficiency(MEASURED) == pytest.approx(0.8)
    assert images_per_second(MEASURED, 1) == 10 and images_per_second(MEASURED, 2) == 16
    assert images_per_second(MEASURED, 8) == pytest.approx(64)


def test_an_extrapolation_is_never_better_than_linear():
    assert images_per_second(with_rates(_1=10.0, _2=25.0), 100) == pytest.approx(1000)


def test_what_was_measured_stands():
    assert images_per_second(with_rates(_1=10.0, _2=16.0, _8=50.0), 8) == 50


def test_a_cost_in_hours_memory_and_disk():
    found = cost(MEASURED, images=2_304_000, workers=8)  # 64 a second: 10 h, and the start
    assert found.hours == pytest.approx(10.01)
    assert found.memory == pytest.approx(12.0)
    assert found.disk == pytest.approx(18.874368)


def test_the_table():
    text = say_costs(MEASURED)
    assert "10 images a second with 1, 16 images a second with 2" in text
    assert "| 10 | 20,000 | 0.16 | 0.57 h | 0.097 h | 0.017 h |" in text
    assert "| 1,000,000 | 2,000,000,000 | 16,000 | 56,000 h | 8,700 h | 690 h |" in text
    assert "| memory, all workers | | | 1.5 GB | 12 GB | 150 GB |" in text
    assert "leaves each 80 % of its speed" in text


def test_the_page_takes_its_figures_from_what_was_measured():
    page = (DOCS / "past_one_machine.md").read_text("utf-8")
    assert page.count(MARK) == 1
    assert not re.search(r"\d (GB|MB|h|hours|images)\b", page), "let course/costs.py say it"
    measured = read_measured(DOCS / "measured" / "shards.json")
    assert set(measured) == set(MEASURED)
    assert say_costs(measured).count("|--:") == 6


def test_code_on_the_page_is_short():
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "past_one_machine.md").read_text(), re.S)
    assert len(blocks) == 4
    for block in blocks:
        compile(block, "page", "exec")
        assert block.count("\n") <= 6
