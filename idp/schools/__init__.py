"""The national register of schools: importing and searching it, and the successors of closed schools.

It owns the register's tables. It does not use estabs, partners or sharing, and notifies no one: what an import changed
is stored in `SchoolChange`, for the scheduled job of a higher layer. It imports `foundation` and `audit`.
"""
