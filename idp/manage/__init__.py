"""The school's desk: what an administrator sees and decides when signed in. Pages, no rules.

Owns no table. What it shows and does is `sharing`'s, `onboarding`'s and `estabs`' to know and to decide.
"""
