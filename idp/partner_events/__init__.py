"""Events for partners: Security Event Tokens (RFC 8417), stored in the transaction that makes the change they report.

Owns the queue of events, their signature, and the two ways in which they reach a client: pushed by the worker
(RFC 8935) or returned when the client polls (RFC 8936). Which client gets which events is in its registration
(`partners`). The packages above decide what an event contains, and record it.
"""
