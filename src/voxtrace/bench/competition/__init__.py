"""A mock competition that anybody can hold again: small cases, submissions that differ, one that misbehaves.

    python -m voxtrace.bench.competition --data ../shared/data --out DIR

The submissions lie in the repository's folder competition/.
"""
