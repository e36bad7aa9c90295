"""A grpc.aio service behind the asyncio interceptor."""

import asyncio
import signal

import grpc
from schemagate_gate import AsyncGate
from schemagate_gate.grpc_interceptors import AsyncGateInterceptor

from settings import GATE, PORT


async def work(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    return b""


async def main() -> None:
    async with AsyncGate(**GATE) as gate:
        server = grpc.aio.server(interceptors=[AsyncGateInterceptor(gate)])
        handler = grpc.unary_unary_rpc_method_handler(work)
        handlers = grpc.method_handlers_generic_handler("conformance.v1.Subject", {"Work": handler})
        server.add_generic_rpc_handlers((handlers,))
        server.add_insecure_port(f"127.0.0.1:{PORT}")
        await server.start()
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        await stopping.wait()
        await server.stop(0)


asyncio.run(main())
