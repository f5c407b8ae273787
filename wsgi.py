"""For any WSGI server: `granian --interface wsgi wsgi:application`. It needs `admission.threads` threads."""

from idp.app import create_app
from idp.foundation.web import admission

application = create_app()
admission.prepare(application)
