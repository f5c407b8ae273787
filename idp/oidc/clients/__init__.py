"""Registered clients as the protocol sees them: their keys, how they authenticate, what they prove, why they failed."""
