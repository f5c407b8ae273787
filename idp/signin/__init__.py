"""Signing in and out: passwords, guesses, browser sessions, known devices, and our own operators.

Owns every way in and what a browser keeps of it. Does not own who people are (`estabs`), what a partner asks
for (`oidc`) or the desk behind the door (`manage`). Stands on `estabs`.
"""
