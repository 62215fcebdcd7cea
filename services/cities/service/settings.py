"""Settings, made from the environment variables that the README lists. Refuses to start rather than to guess."""

from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from service import environment

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(environment.text("DATA_DIR", str(BASE_DIR / "data")))
ENVIRONMENT = environment.text("ENVIRONMENT", "local")
LOCAL = ENVIRONMENT == "local"

RELEASE = {
    "service": "cities",
    "version": environment.text("version", "1"),
    "branch": environment.text("branch", "master"),
    "stack": environment.text("stack", "stack"),
}
SHOW_RELEASE = environment.switch("SHOW_RELEASE", "yes")
WRITER_TOKEN = environment.text("CITIES_WRITER_TOKEN")

if LOCAL:
    # Nothing that outlives a start is signed with it, so that each start may have its own.
    SECRET_KEY = environment.text("DJANGO_SECRET_KEY") or get_random_secret_key()
else:
    SECRET_KEY = environment.required("DJANGO_SECRET_KEY", f"environment {ENVIRONMENT!r} needs a secret key of its own")

# A gateway asks for proxy.<stack>, a health check inside the container for 127.0.0.1; the site's own names are added.
ALLOWED_HOSTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    "proxy",
    f"proxy.{RELEASE['stack']}",
    *environment.words("DJANGO_ALLOWED_HOSTS"),
]

INSTALLED_APPS = [
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "cities",
]
MIDDLEWARE = [
    "service.request_id.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "service.urls"
WSGI_APPLICATION = "service.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "/ws/cities/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
# TLS ends at the gateway (W004, W008); there is no cookie that a forged request could ride on (W003).
SILENCED_SYSTEM_CHECKS = ["security.W003", "security.W004", "security.W008"]


def _sqlite() -> dict:
    # Two stacks share this file while a release is switched: readers never wait for a writer (WAL), writers queue
    # (immediate transactions, for at most `timeout` seconds) instead of failing half way.
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "cities.sqlite3",
        "CONN_MAX_AGE": 60,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def _postgresql(url: str) -> dict:
    if not url.startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured("DATABASE_URL should look like postgresql://user:password@host:5432/name")
    try:
        database = dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True)
    except ValueError:
        # The parser's own message may hold the password.
        raise ImproperlyConfigured("DATABASE_URL cannot be read: escape special characters in it (%40 for @)") from None
    if not database["NAME"]:
        raise ImproperlyConfigured("DATABASE_URL names no database: postgresql://user:password@host:5432/name")
    database.setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
    return database


if database_url := environment.text("DATABASE_URL"):
    DATABASES = {"default": _postgresql(database_url)}
elif LOCAL:
    DATABASES = {"default": _sqlite()}
else:
    environment.required("DATABASE_URL", f"environment {ENVIRONMENT!r} keeps its cities in PostgreSQL")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["cities.writers.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["service.parsers.StrictJSONParser"],
    "DEFAULT_METADATA_CLASS": "service.release.ReleaseMetadata",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "service.errors.answer_exception",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Cities",
    "DESCRIPTION": "The cities that the site serves, each with its number of events.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/ws",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "service.request_id.RequestIdFilter"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} request_id={request_id} {message}", "style": "{"},
    },
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "filters": ["request_id"],
            "formatter": "line",
        },
    },
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {
        # Without Django's own handlers; what a client did wrong is told by the access log's status.
        "django": {"handlers": [], "level": "INFO"},
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
