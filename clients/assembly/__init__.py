"""Assembly, the demonstration partner: a web application that schools sign in to with their school account.

It owns its pages and its own small database. It stands on OpenID Connect through Authlib's client library
and on the provider's discovery document; `client.toml` is the manifest it was registered with.

* `settings`         the five names it reads from the environment
* `store`            what it keeps on the server: sign-ins with their tokens, and what awaits a callback
* `school_account`   the OpenID Connect conversation: begin, finish, refresh, end
* `areas`            the data it asks schools for, in its own words
* `views`, `web`     the pages, and what holds for all of them
"""
