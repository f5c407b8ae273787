"""Fast paths: where a library's way was measured to cost 5 % or more of a whole request, and ours takes its place.

Each was measured alone, over HTTP, with the others in place; docs/figures.md has the figures. What saves less goes
through the library. A fast path touches public names of a library only, and does what the library's way does: the
same events, the same errors, the same headers.
"""
