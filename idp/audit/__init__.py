"""What happened, who did it and when: written with the change, never edited, chained so that tampering is detected.

Owns the names of events, the entries, their chain and its signed checkpoints. Counts of routine traffic (refreshes,
introspections) are not audited. Imports the foundation alone.
"""
