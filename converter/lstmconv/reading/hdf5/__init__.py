"""The part of HDF5 that Keras writes, read with limits."""
