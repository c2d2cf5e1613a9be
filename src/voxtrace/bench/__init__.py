"""Measurements that end as JSON in benchmarks/."""
