"""What partners' programs can request over HTTP: their schools, and the school register.

Owns the routes below `/api`, their description in OpenAPI, and problem documents (RFC 9457). Does not own tokens
(`oidc`), agreements (`sharing`) or the register (`schools`). It imports all three.
"""
