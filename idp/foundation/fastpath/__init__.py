"""Fast paths: where a library's way was measured to cost 5 % or more of a whole request, and ours takes its place.

Each was measured alone, over HTTP, with the others in place (`make bench WHAT=fastpaths`); the figures stand in
docs/decisions/0005-fast-paths-that-earn-their-place.md. What saves less goes through the library. A fast path does
what the library's way does: the same events, the same errors, the same headers.
"""
