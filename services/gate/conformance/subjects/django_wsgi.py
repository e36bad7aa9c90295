"""A Django service behind the Django middleware."""

import signal
import sys

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from werkzeug.serving import make_server

from settings import GATE, PORT

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=["schemagate_gate.django.GateMiddleware"],
    ROOT_URLCONF=__name__,
    SCHEMAGATE=GATE,
)
urlpatterns = [path("work", lambda request: HttpResponse("done"))]


def stop(*_: object) -> None:
    from schemagate_gate.django import close

    close()
    sys.exit()


signal.signal(signal.SIGTERM, stop)
make_server("127.0.0.1", PORT, get_wsgi_application(), threaded=True).serve_forever()
