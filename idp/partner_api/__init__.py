"""What partners' programs can ask us over HTTP: their schools, and the school register.

Owns the addresses below `/api`, their description in OpenAPI, and problem documents (RFC 9457). Does not own tokens
(`oidc`), agreements (`sharing`) or the register (`schools`). It imports all three.
"""
