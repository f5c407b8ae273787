"""Signing in and out: passwords, guesses, browser sessions, known devices, and our own operators.

Owns every way in and what a browser keeps of it. Does not own who people are (`estabs`), what a partner asks
for (`oidc`) or the school's desk (`manage`). Stands on `estabs`.
"""
