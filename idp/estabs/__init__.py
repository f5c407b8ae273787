"""Estabs and their people: schools that have registered with us, and who may act for them.

Owns Estab IDs, states, administrators, the rules for passwords, and links that one person may use once.
Does not own signing in (`signin`), registering (`onboarding`) or agreements (`sharing`). Builds on `schools`.
"""
