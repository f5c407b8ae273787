"""What our own staff do about schools' accounts, by command and on pages.

Owns no table. It stands above sign-in and onboarding, because suspending an account ends its people's sessions, and
restoring it asks what was decided about the school.
"""
