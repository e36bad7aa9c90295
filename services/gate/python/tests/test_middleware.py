"""The middlewares' answers, without a schema service."""

from typing import Any

from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from werkzeug.test import Client

from schemagate_gate import AsyncGate, Gate, Refusal
from schemagate_gate.asgi import GateMiddleware as AsgiMiddleware
from schemagate_gate.wsgi import GateMiddleware as WsgiMiddleware


def opened(gate: Any) -> Any:
    gate._state.publish(None, (), 0)
    return gate


def asgi(gate: AsyncGate) -> TestClient:
    app = FastAPI()

    @app.get("/work")
    async def work() -> str:
        return "done"

    @app.get("/metrics")
    async def metrics() -> str:
        return "1"

    @app.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("done")
        await socket.close()

    app.add_middleware(AsgiMiddleware, gate=gate, exempt=["/metrics"])
    return TestClient(app)


def test_asgi() -> None:
    closed = asgi(AsyncGate("reports", requires="0002"))
    answer = closed.get("/work")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["reason"] == "SCHEMA_UNREACHABLE"
    assert closed.get("/readyz").status_code == 503
    assert closed.get("/livez").status_code == 200
    assert closed.get("/metrics").status_code == 200
    try:
        with closed.websocket_connect("/ws") as socket:
            socket.receive_text()
        raise AssertionError("a closed gate accepts no WebSocket")
    except WebSocketDisconnect as refused:
        # The denial response, which this server's extension allows.
        assert getattr(refused, "status_code", None) == 503

    passing = asgi(opened(AsyncGate("reports", requires="0002")))
    assert passing.get("/work").json() == "done"
    assert passing.get("/readyz").text == "ok\n"
    with passing.websocket_connect("/ws") as socket:
        assert socket.receive_text() == "done"


def test_wsgi() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"done"]

    class Unstarted(Gate):
        def start(self) -> Gate:
            return self

    closed = Client(WsgiMiddleware(app, gate=Unstarted("reports", requires="0002")))
    answer = closed.get("/work")
    assert answer.status_code == 503
    assert answer.json and answer.json["reason"] == "SCHEMA_UNREACHABLE"
    assert closed.get("/readyz").status_code == 503
    assert closed.get("/livez").status_code == 200
    passing = Client(WsgiMiddleware(app, gate=opened(Unstarted("reports", requires="0002"))))
    assert passing.get("/work").data == b"done"
    assert passing.get("/readyz").status_code == 200


def test_a_refusal_is_a_value() -> None:
    assert Refusal is type(AsyncGate("a", requires="1").admit())
