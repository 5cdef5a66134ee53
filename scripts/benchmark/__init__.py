"""Every engine beside every other on the same weights and inputs: `scripts/bench`."""
