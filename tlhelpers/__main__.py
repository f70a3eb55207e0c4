"""The command line of the package: `python -m tlhelpers VERB`, or `tlhelpers VERB`."""

import argparse
import ast
import sys

from tlhelpers.checks.files import folder_beside
from tlhelpers.checks.words import did_you_mean
from tlhelpers.sources import assets, preparing


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 1 if it failed, 2 if it was asked wrongly."""
    parser = argparse.ArgumentParser(prog="tlhelpers", description="Transfer learning with Keras.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    text = "download weights and data before they are needed"
    fetch = verbs.add_parser("fetch", help=text, description=text)
    fetch.add_argument("assets", nargs="*", metavar="ASSET", help=", ".join(assets.catalog()))
    text = "every asset of the catalog, and the data sets that TFDS prepares"
    fetch.add_argument("--all", action="store_true", help=text)
    text = "list the recipes, or print one: tlhelpers recipe fine_tuning > mine.py"
    recipe = verbs.add_parser("recipe", help=text, description=text)
    recipe.add_argument("name", nargs="?", metavar="NAME", help="one of the list")
    options = parser.parse_args(argv)
    if options.verb == "recipe":
        return show_recipe(options.name, recipe)
    if bool(options.assets) == options.all:
        fetch.error("name one or more assets, or --all")
    for asset in options.assets:
        if asset not in assets.catalog():
            fetch.error(f"unknown asset {asset!r}.{did_you_mean(asset, assets.catalog())}")
    try:
        if options.all:
            preparing.prepare_all()
        assets.fetch_all(options.assets or None)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing half is left behind", file=sys.stderr)
        return 130
    return 0


def show_recipe(name: str | None, parser: argparse.ArgumentParser) -> int:
    """Print a recipe as it is in its file; without a name, all names with a line each."""
    recipes = {path.stem: path for path in sorted(folder_beside("recipes").glob("*.py"))}
    if name is None:
        for stem, path in recipes.items():
            says = ast.get_docstring(ast.parse(path.read_text(encoding="utf8"))) or ""
            print(f"{stem:<22}{says.splitlines()[0].split(': ', 1)[-1]}")
        return 0
    if name not in recipes:
        parser.error(f"unknown recipe {name!r}.{did_you_mean(name, recipes)}")
    print(recipes[name].read_text(encoding="utf8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
