"""Partners and their clients: who schools share data with.

Owns the companies, their applications (OAuth clients), the applications' secrets, the rules of their registration
(by an operator's manifest, or by themselves within an operator's policy), each client's log of what went wrong with
its requests, and the catalogue of management information systems they can work with. Knows nothing of schools or of
what one of them agreed to (that is `sharing`), and nothing of requests and tokens (`oidc`), which ask `registry`
about a client and get a frozen snapshot. Stands on `audit` and `foundation`.
"""
