"""What runs around and inside a sandbox, in a process of its own. Standard library only: this is started once a case,
and what it takes in memory and time is nobody's but ours.
"""
