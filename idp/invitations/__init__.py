"""Invitations of schools, which a partner has us send: who is asked to connect which school, and what they answered.

Owns the invitations, the links in their mails, their states and the page behind the links. An invitation gives no
rights: it leads to the partner, whose ordinary authorization request begins sharing (`oidc`, `sharing`). How an
owner invites a person to act for a school is in `estabs.person_invitations`.
"""
