"""Authorization requests: how they are checked and kept, and the one writer of answers to a redirect URI."""
