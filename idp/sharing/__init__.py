"""Sharing: a school's agreements that clients may have certain scopes.

Owns authorisations, the history of decisions, and the processing record made from them. Mentions no tokens,
on purpose: a token is evidence of an agreement and lives only while the agreement does, so withdrawing is
one update, and `oidc` checks the agreement at each use. Imports `estabs` and `partners`.
"""
