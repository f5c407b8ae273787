"""The demo mailbox: every e-mail and text message that the service sent, in one page, for a demonstration.

It reads a Maildir, writes nothing, and knows nothing of who wrote it. Never run it where real mail is.
"""
