"""Floor 5, the protocol: OAuth 2.0 and OpenID Connect on our authorisations; the only room that knows Authlib.

It owns what the protocol keeps (kept requests, codes, refresh families, revocations) and what its endpoints
answer. It does not own who is signed in (`signin`) nor what a school agreed to (`sharing`): it asks them, and
they never ask back. How a request travels: `authorize`, the dispatcher, is the place to begin reading; which
rules it has to pass, in their order: `checks.CHECKS`; what is wired to what: `server.build`.

    incoming      a request as it came: each parameter once, of bounded size
    client        Authlib's view of a registered client; which part of a redirect URI differs
    checks        the rules of an authorization request, and who is asking on the back channel
    requests      kept requests: keep, bind to one browser, send on, spend
    authorize, consent      the pages a person passes on the way
    responses     the one writer of everything that leaves for a client's redirect URI
    tokens, claims          what is issued, and what it says
    grants/, extensions/    Authlib's skeletons, filled in
    device, device_codes    the page where a device's code is typed, and the codes themselves
    registration            clients that register themselves (the rules are `partners.self_registration`)
    backchannel             what a client is sent when a browser session has ended
    failures                why requests failed, for each client's own log
    token, userinfo, revocation, logout, discovery      the other endpoints
"""
