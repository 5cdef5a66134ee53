"""The graph as an ONNX file: fused operators for the recurrent layers, masks included; no TensorFlow.

`by_node.WRITERS` is the table of contents: for each node of the vocabulary the function that writes it. `model` puts
the whole together, `checking` proves it before it is published, `exporting` is the door.
"""
