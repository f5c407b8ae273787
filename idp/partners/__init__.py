"""Partners and their clients: who schools share data with.

Owns the companies, their applications (OAuth clients), the applications' secrets, the rules of their registration
(by an operator's manifest, or by themselves within an operator's policy), each client's log of what went wrong with
its requests, and the catalogue of management information systems they can work with. Schools' agreements are in
`sharing`; requests and tokens are in `oidc`, which reads a client from `registry` as a frozen snapshot. Imports
`audit` and `foundation`.
"""
