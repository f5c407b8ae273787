"""What hangs on Authlib's hooks: kept requests before a grant is chosen, PKCE, and the ID Token after."""
