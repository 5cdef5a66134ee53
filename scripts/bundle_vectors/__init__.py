"""The cases of scripts/make_bundle_vectors.py, by what they show."""
