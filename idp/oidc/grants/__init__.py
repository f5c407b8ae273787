"""The grants, each Authlib's skeleton on our rows; `common` is what they share at the token endpoint."""
