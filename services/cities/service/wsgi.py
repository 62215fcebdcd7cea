"""What uWSGI loads, once, in its master: so that the database is ready before the first worker is forked.

One interpreter does it all, because a second one for `manage.py migrate` would double the time of a start.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "service.settings")
application = get_wsgi_application()

from service.start import prepare  # noqa: E402  (needs the application's registry)

prepare()
