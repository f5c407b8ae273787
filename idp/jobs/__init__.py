"""Which worker does what when: leases on timed jobs, heartbeats, and deleting what has had its time.

Owns that and no job: what is to be done, and when, is the worker's list. Stands on the foundation alone.
"""
