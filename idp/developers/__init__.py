"""What a partner's developer needs at `/developers`: the guide and quick starts, and the partner's applications.

Anyone may read the guide and the quick starts. A quick start is a folder below `software/`; its text is what
`tests/interoperability` runs. Signed in, a developer makes sandbox applications, tries them, reads why requests failed,
changes keys and secrets, and asks for an application to go live. The accounts are in `signin`, clients in `partners`.
"""
