"""Signing in with an account of another identity provider: the school's own Microsoft 365 or Google Workspace account.

Owns the links between such accounts and people, and the requests that are sent to those providers. Who is signed in is
`signin`'s business; JWTs are read as those of clients are (`keys.jwts`).
"""
