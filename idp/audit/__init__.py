"""What happened, who did it and when: written with the act, never edited, chained so that tampering shows.

Owns the vocabulary of events, the entries, their chain and its signed checkpoints. Does not own counts of
routine traffic (refreshes, introspections), which are not audited. Stands on the foundation alone.
"""
