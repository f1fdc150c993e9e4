"""Benches: ratios inside one run, never absolute times. Started by `script/bench NAME`."""
