"""Random Keras models, converted and compared with Keras.

`grammar` draws a `Plan`, `plan` turns it into Keras source and runs that, `check` compares, `shrink` makes a failing
plan small. `scripts/fuzz` is the command.
"""
