"""A module for each endpoint of the protocol, and the pages that a person sees between them."""
