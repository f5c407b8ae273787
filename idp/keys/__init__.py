"""The keys we sign with: made, published before they sign, rotated, kept until their last token has died.

Owns the key ring and every signature of ours, made or checked. Does not own what tokens say, which is
`oidc`'s. Stands on the foundation, and writes to `audit`.
"""
