"""A Flask view that does nothing: what the generator proves itself on."""

from flask import Flask

application = Flask("bare")
application.add_url_rule("/", view_func=lambda: "nothing at all")
