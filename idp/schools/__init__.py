"""The national register of schools: importing and searching it, and the successors of closed schools.

It owns the register's tables. It knows nothing of estabs, partners or sharing, and
notifies no one: what an import changed is in `SchoolChange`, for the scheduled job of a higher layer. It imports
`foundation` and `audit`.
"""
