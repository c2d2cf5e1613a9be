"""voxtrace-small without mirror images: its refiner looks at a picture once, not at four forms of it."""

import sys
from dataclasses import replace

from voxtrace.bench.challenge.answering import answer
from voxtrace.checkpoints import load
from voxtrace.engines.torch import TorchEngine

net = load("voxtrace-small")
net.config = replace(net.config, mirrored=False)
answer(TorchEngine(net, "cpu"), *sys.argv[1:])
