"""A module for each grant of the token endpoint: Authlib's skeletons, filled in."""
