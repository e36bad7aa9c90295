"""A Flask service behind the WSGI middleware."""

import signal
import sys

from flask import Flask
from schemagate_gate.wsgi import GateMiddleware
from werkzeug.serving import make_server

from settings import GATE, PORT

app = Flask(__name__)
app.wsgi_app = GateMiddleware(app.wsgi_app, **GATE)  # type: ignore[method-assign]


@app.get("/work")
def work() -> str:
    return "done"


def stop(*_: object) -> None:
    app.wsgi_app.close()
    sys.exit()


app.wsgi_app.start()
signal.signal(signal.SIGTERM, stop)
make_server("127.0.0.1", PORT, app, threaded=True).serve_forever()
