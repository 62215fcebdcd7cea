"""What uWSGI loads, once, in its master: so that the database is ready before the first worker is forked.

One interpreter does it all, because a second one for `manage.py migrate` would double the time of a start.
"""

import os
import signal
import threading

# The first process of a container ignores what it does not handle, and uWSGI handles SIGTERM only after this file.
stoppable = threading.current_thread() is threading.main_thread()
if stoppable:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

from django.core.wsgi import get_wsgi_application  # noqa: E402

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "service.settings")
application = get_wsgi_application()

from service.start import prepare  # noqa: E402  (needs the application's registry)

prepare()
if stoppable:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
