"""Side by side: what the package takes, relative to its peers. `make bench` runs it."""
