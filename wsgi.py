"""For any WSGI server: `granian --interface wsgi wsgi:application`."""

from idp.app import create_app

application = create_app()
