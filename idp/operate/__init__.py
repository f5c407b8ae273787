"""What our own staff do about schools' accounts and their people, and about partners, by command and on pages.

A page offers its actions by `action_form`; each calls the function that the command calls. Owns no table. Imports
sign-in and onboarding, because suspending an account ends its people's sessions, and restoring it reads what was
decided about the school.
"""
