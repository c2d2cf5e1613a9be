"""voxtrace-small as it ships, on PyTorch."""

import sys

from voxtrace import open_engine
from voxtrace.bench.challenge.answering import answer

answer(open_engine("voxtrace-small", "cpu"), *sys.argv[1:])
