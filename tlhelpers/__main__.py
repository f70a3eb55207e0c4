"""The command line of the package: `python -m tlhelpers VERB`, or `tlhelpers VERB`."""

import argparse
import sys

from tlhelpers.checks.words import did_you_mean
from tlhelpers.sources import assets


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 1 if it failed, 2 if it was asked wrongly."""
    parser = argparse.ArgumentParser(prog="tlhelpers", description="Transfer learning with Keras.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    text = "download weights and data before they are needed"
    fetch = verbs.add_parser("fetch", help=text, description=text)
    fetch.add_argument("assets", nargs="*", metavar="ASSET", help=", ".join(assets.catalog()))
    fetch.add_argument("--all", action="store_true", help="every asset of the catalog")
    options = parser.parse_args(argv)
    if bool(options.assets) == options.all:
        fetch.error("name one or more assets, or --all")
    for asset in options.assets:
        if asset not in assets.catalog():
            fetch.error(f"unknown asset {asset!r}.{did_you_mean(asset, assets.catalog())}")
    try:
        assets.fetch_all(options.assets or None)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing half is left behind", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
