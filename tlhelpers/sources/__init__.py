"""Where data and weights come from: prepared, official, mirror or stand-in."""
