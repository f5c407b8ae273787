"""A module for each endpoint, and the pages a person passes on the way."""
