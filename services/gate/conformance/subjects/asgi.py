"""A FastAPI service behind the ASGI middleware."""

import uvicorn
from fastapi import FastAPI
from schemagate_gate.asgi import GateMiddleware

from settings import GATE, PORT

app = FastAPI()
app.add_middleware(GateMiddleware, **GATE)


@app.get("/work")
async def work() -> str:
    return "done"


uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
