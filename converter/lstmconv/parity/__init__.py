"""Proof that a bundle still is the model it was made from: the same inputs through Keras, the runtime and onnxruntime.

`cross_check` runs the engines and makes a `Report`. Unlike the rest of the converter it has Keras load the model file,
so it is for files that one would load in Keras. A file that Keras refuses, or a bundle alone, is compared between the
runtime and onnxruntime on our own ONNX file.
"""
