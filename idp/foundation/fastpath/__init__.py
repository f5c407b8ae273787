"""Fast paths: code of ours instead of a library's, where that saves 5 % or more of a whole request.

Each was measured alone, over HTTP, with the others in place (`make bench WHAT=fastpaths`); the figures stand in
docs/decisions/0005-fast-paths-that-earn-their-place.md. What saves less uses the library. A fast path behaves as the
library does: the same events, the same errors, the same headers.
"""
