"""The sample API: a protected resource that stands behind the provider's access tokens, and tells what a token opens.

It shows what any partner's API has to check, and is the resource that the OpenID Foundation's FAPI 2.0 plans call. It
has no data: it answers with the school and the areas that introspection names for the token. How it may be reached,
and with which tokens, stands in its metadata (RFC 9728).

    settings    its settings, from the environment
    proofs      whether the caller holds the key that a token is bound to (RFC 9449)
    tokens      whether a token is good, for us, and for what: asked of the provider each time (RFC 7662)
    app         the addresses
"""
