"""For any WSGI server: `granian --interface wsgi wsgi:application`. It needs `admission.threads` threads."""

import gc

gc.disable()  # what is imported stays, so that looking through it for garbage is a sixth of the start; enabled below

from threading import Thread  # noqa: E402

from idp.app import create_app  # noqa: E402
from idp.foundation.web import admission  # noqa: E402
from idp.signin import devices  # noqa: E402


def _finish_start() -> None:
    """Do beside the first requests what would stop all threads later, in the middle of a crowd of sign-ins.

    A full garbage collection visits the 180,000 objects of the code itself, which takes 0.13 s in which no thread runs.
    They live as long as the process, so that collections may leave them out.
    """
    devices.load_patterns()
    gc.freeze()
    gc.enable()


application = create_app()
admission.prepare(application)
Thread(target=_finish_start, name="finish-start", daemon=True).start()
