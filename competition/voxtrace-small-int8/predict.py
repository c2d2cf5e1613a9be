"""voxtrace-small with the weights of its attention and perceptrons in 8 bits, multiplied as whole numbers.

Convolutions stay in 32 bits: PyTorch quantises them only after it has seen data.
"""

import sys
import warnings

import torch

from voxtrace.bench.challenge.answering import answer
from voxtrace.checkpoints import load
from voxtrace.engines.torch import TorchEngine

warnings.simplefilter("ignore")  # this will move to another package; in the pinned PyTorch it works
net = torch.ao.quantization.quantize_dynamic(load("voxtrace-small"), {torch.nn.Linear}, torch.qint8)
answer(TorchEngine(net, "cpu"), *sys.argv[1:])
