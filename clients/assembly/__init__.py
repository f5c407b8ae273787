"""Assembly, the demonstration partner: a company whose two applications use data that schools share.

It owns its pages, its database, its mail and its keys, and stands on published standards alone: OpenID Connect under
the FAPI 2.0 Security Profile, and the provider's API for partners. README.md explains how to build one like it.

* `applications`     Assembly and SchoolBooking: what they ask for, and which systems they work with
* `settings`, `database`, `keys`   what it is run with, what it keeps, and its private keys
* `invite_codes`, `accounts`, `mail`, `sign_ins`   its own accounts, and who is signed in
* `provider`         each request to the provider: how it is signed, and how responses are verified
* `school_account`   sign in with a school account
* `invitations`      Grant Access: the provider invites a school for us
* `connections`      the schools that share with us, their tokens, and what we received by `resource`
* `events`           what the provider pushes to us
* `background`       what happens without a request
* `*_views`, `web`   the pages, and what holds for all of them
"""
