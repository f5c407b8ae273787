"""What a partner's developer needs at `/developers`: quick starts for the software they use, and the guide.

Anyone may read both. A quick start is a folder below `software/`; its text is what `tests/interoperability` runs.
"""
