"""Authorization requests: how they are checked and stored, and how responses are sent to redirect URIs."""
