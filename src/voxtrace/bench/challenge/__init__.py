"""A challenge held: submissions run case by case in a sandbox, scored, ranked, run again and compared.

The contract is that of the CVPR 2024 challenge "segment anything in medical images on laptop": one case at a time, a
folder inputs with one npz in, a file of the same name with `segs` in the folder outputs back, wall-clock time with
start-up. docs/challenge.md is its description.
"""
