"""What partners and schools run: programs that know our URL and the standards, and nothing else of us.

Nothing in here may import `idp`; a test holds that. Whatever these need, a stranger's program can have too.
"""
