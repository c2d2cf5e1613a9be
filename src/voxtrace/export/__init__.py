"""Nets as ONNX graphs that run without PyTorch; their weights stay in one safetensors file (docs/export.md).

verbs, sam1_verbs  what is traced: the verbs on tensors alone      binding  graphs tied to a weights file
tracing            a verb -> a graph without weights                folder   voxtrace.json
writing            a model -> a folder                              embed    the embedded weights' own graphs
"""
