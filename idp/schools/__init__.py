"""The national register that schools come from: imported, searched, linked from closed schools to their successors.

Owns the tables of the register and what is found in them. Knows nothing of estabs, partners or sharing, and
tells nobody: what an import changed stands in `SchoolChange`, for the timed job above to read. Stands on
`foundation` and `audit`.
"""
