import ast
import sys
import tomllib
from importlib.metadata import packages_distributions

from course.book import ROOT
from course.doors import MORE, first_cell, write_doors

import nbformat
import pytest
from packaging.requirements import Requirement

LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
ADDRESS = "https://github.com/owner/a-course"


def test_each_lesson_begins_with_the_cell_that_gets_the_course(tmp_path):
    made = write_doors(f"{ADDRESS}.git", ROOT / "notebooks", tmp_path)
    assert [path.name for path in made] == [path.name for path in LESSONS]
    links = (tmp_path / "README.md").read_text()
    for path, lesson in zip(made, LESSONS, strict=True):
        nb, cells = nbformat.read(path, 4), nbformat.read(lesson, 4).cells
        nbformat.validate(nb)
        assert nb.cells[1].source == first_cell(ADDRESS)
        assert [cell.source for cell in nb.cells[2:]] == [cell.source for cell in cells]
        assert not any(cell.get("outputs") for cell in nb.cells)
        for host in ("colab.research.google.com/github", "mybinder.org/v2/gh", "kaggle.com"):
            (line,) = [line for line in links.splitlines() if f"| {path.stem} |" in line]
            assert host in line and path.name in line and "owner/a-course" in line


def test_the_first_cell_is_python_with_exact_pins():
    code = first_cell(ADDRESS)
    ast.parse(code)
    assert '"-c", "transfer-learning/requirements.txt"' in code and f'"{ADDRESS}"' in code


def test_it_installs_all_that_a_lesson_imports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["text"], *MORE]
    installed = {Requirement(line).name.lower().replace("_", "-") for line in lines}
    belongs = packages_distributions()
    for path in LESSONS:
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type != "code":
                continue
            for node in ast.walk(ast.parse(cell.source)):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module]
                for name in {name.split(".")[0] for name in names} - {"tlhelpers", "IPython"}:
                    if name not in sys.stdlib_module_names:
                        owners = {one.lower().replace("_", "-") for one in belongs[name]}
                        assert owners & installed, f"{path.stem}: {name}"


@pytest.mark.parametrize("address", ["", "owner/a-course", "https://gitlab.com/o", ADDRESS + "/x"])
def test_another_address_is_refused_before_anything_is_written(address, tmp_path):
    with pytest.raises(ValueError, match=r"must be https://github\.com/OWNER/NAME"):
        write_doors(address, ROOT / "notebooks", tmp_path / "out")
    assert not (tmp_path / "out").exists()
