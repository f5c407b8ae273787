"""The protocol: OAuth 2.0 and OpenID Connect on our authorisations, built on Authlib.

It owns the protocol's state (stored requests, codes, refresh families, revocations) and the responses of its endpoints.
Who is signed in is decided by `signin`, and what a school agreed to by `sharing`; neither imports this package. A
request begins at `endpoints.authorize`, the dispatcher; `authorization.checks.check` has the rules it must meet, in
their order; `authorization_server.build` has the grants and extensions.

Layers, each importing only from those below:

    views                 routes, rate limits and error pages
    endpoints/            a module for each endpoint, and the pages on the way
    authorization_server  Authlib's server with our clients and responses
    tokens/               access, ID and logout tokens, refresh families, device codes; grants/ issue them
    authorization/        checks of a request, stored requests, request objects, PKCE, responses to a redirect URI
    records, claims       the claims about a person and a school
    clients/              registered clients: keys, authentication, DPoP proofs, limits, the log of their failures
    incoming              a request as it was sent: each parameter once, of limited size
    models                tables
    basis                 what all tokens of one lineage contain
    errors                errors and their texts
"""
