"""Signing in and out: passwords, guesses, browser sessions, known devices, and our own operators.

Owns every way to sign in, and its cookies. People belong to `estabs`, partners' requests to `oidc`, and the pages of
a school to `manage`. Imports `estabs`.
"""
