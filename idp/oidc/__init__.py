"""The protocol: OAuth 2.0 and OpenID Connect on our authorisations; the only package that knows Authlib.

It owns what the protocol keeps (kept requests, codes, refresh families, revocations) and what its endpoints
answer. It does not own who is signed in (`signin`) nor what a school agreed to (`sharing`): it asks them, and
they never ask back. A request travels from `endpoints.authorize`, the dispatcher; the rules it has to pass are
`authorization.checks.check`, in their order; which grants and extensions there are stands in `server.build`.

Layers, each importing only from those below:

    views           routes, rate limits and error pages
    endpoints/      a module for each endpoint, and the pages a person passes on the way
    server          Authlib's server with our clients and answers
    tokens/         access, ID and logout tokens, refresh families, device codes; grants/ issue them
    authorization/  checks of a request, kept requests, request objects, PKCE, answers to a redirect URI
    records, claims what tokens say of a person and a school
    clients/        registered clients: keys, authentication, DPoP proofs, bounds, why they failed
    jwts            JWTs that clients sign
    incoming        a request as it came: each parameter once, of bounded size
    models          tables
    basis, errors   what tokens stand for; errors and their texts
"""
