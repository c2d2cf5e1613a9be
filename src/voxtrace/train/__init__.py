"""Training: real and made-up cases, simulated prompts, losses, the loop."""
