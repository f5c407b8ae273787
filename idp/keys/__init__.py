"""The keys we sign with: created, published before they sign, rotated, and kept until their last token has expired.

Owns the key ring, and makes and checks every signature of ours. What tokens contain is `oidc`'s. Imports the
foundation, and writes to `audit`.
"""
