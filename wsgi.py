"""For any WSGI server: `granian --interface wsgi wsgi:application`. It needs `admission.threads` threads."""

from threading import Thread

from idp.app import create_app
from idp.foundation.web import admission
from idp.signin import devices

application = create_app()
admission.prepare(application)
Thread(target=devices.load_patterns, name="load-patterns", daemon=True).start()
