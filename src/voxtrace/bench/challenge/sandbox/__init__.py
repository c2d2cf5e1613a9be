"""Where a submission runs: it may use so much, see so much, and reach nothing else. `choice` picks what works here."""
