"""A Flask view that does nothing: it shows how many requests the load generator can send."""

from flask import Flask

application = Flask("bare")
application.add_url_rule("/", view_func=lambda: "bare view")
