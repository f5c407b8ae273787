"""Tokens: access tokens, ID Tokens, logout tokens, refresh token families, and the grants that issue them."""
