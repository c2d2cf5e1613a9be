"""The nets, in PyTorch, one part a file, with official parameter names. Nothing here reads a file or keeps state."""
