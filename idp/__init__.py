"""IDaaS: the identity provider that lets schools share data with the services they use.

Glossary. Each word has one meaning:

School          an entry of the national register (EduBase, today GIAS). Known by its URN.
Estab           a school that has registered with us. Known by its Estab ID, which is never reused.
Administrator   a person who acts for one or several estabs; the OpenID *subject*.
Membership      an administrator acting for one estab, as its `owner`, `admin` or `viewer`. Decisions are made by one.
Partner         a company that schools share data with; a *client* is one of its applications.
Authorisation   (with s) the school's agreement that a client may have certain scopes. It belongs to the
                estab and outlives the person who gave it.
authorization   (with z) the protocol's word: the request, the code, the endpoint of RFC 6749.
Agreement       an authorisation as it stood at one time: a row. A change ends it and begins the next one. The text
                that the school was shown has a version, `agreement_version`.
Line            the agreements of an estab and a client that replaced each other without a gap.
Successor       the school that takes over from one that closes, as the register says.
Release         a closing estab's decision that a successor may continue what it shares.
Offer           what an owner of the successor sees of a release, and decides about once.
Data area       the word for a data scope on schools' pages.
Identity scope  a scope about the person or the school's public entry; never withheld from an unverified estab.
Data scope      a scope of `config/scopes.toml` that gives access to school data; withheld until the estab is verified.
Endpoint scope  the scope by which an endpoint reports to us and sends extracts; it lets no partner read anything.
Pending request    an authorization request we stored, by PAR (RFC 9126) or on arrival.
Lineage         all tokens that came from one code, device code or client-credentials request.
Family          one refresh token and those that replaced it by rotation; part of a lineage.
Operator        a member of our staff.
Developer       one of a partner's people, who looks after its clients at `/developers`.
Endpoint        the XporterOnDemand agent on a school's server, which reads the MIS.
MIS             the school's management information system.
Extract         the data that an endpoint reads from the MIS at one time and sends to XporterOnDemand.
Refusal         an error whose words may be shown to the person it happened to.
Outbox          messages, written in the transaction that they report on and delivered by the worker.
"""
