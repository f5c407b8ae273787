"""What our own staff do about schools' accounts, by command and on pages.

Owns no table. Imports sign-in and onboarding, because suspending an account ends its people's sessions, and
restoring it reads what was decided about the school.
"""
