"""The school's pages: what an administrator sees and decides when signed in. Pages only.

Owns no table. The rules are in `sharing`, `onboarding` and `estabs`.
"""
