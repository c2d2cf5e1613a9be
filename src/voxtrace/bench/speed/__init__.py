"""How fast and how large: our engines beside the code that others publish, with the same weights, in one run.

rows      the table, from measurements           goals     what is wanted of each row
turns     sides, each a process, take turns      side      what such a process does
ours, hugging_face, official                     the sides: voxtrace, transformers, the sam2 repack
work      the volume and its boxes               weights   random SAM 2.1 tiny, the same on all sides
rates     what the processor attains             operations   what the nets compute
startup   from the command to the first mask
"""
