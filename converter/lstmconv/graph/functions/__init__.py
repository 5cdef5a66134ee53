"""Functions of keras.ops that a functional graph holds beside its layers; `keras_functions` lists them."""
