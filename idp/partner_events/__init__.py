"""What partners are told: Security Event Tokens (RFC 8417), written in the transaction of what they tell about.

Owns the queue of events, their signature, and the two ways in which they reach a client: pushed by the worker
(RFC 8935) or handed out when the client asks (RFC 8936). Which client gets which events is in its registration
(`partners`). What an event says is decided by the packages above, which record it.
"""
