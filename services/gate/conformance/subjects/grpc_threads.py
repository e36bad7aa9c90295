"""A grpc service behind the interceptor for threads."""

import signal
from concurrent import futures

import grpc
from schemagate_gate import Gate
from schemagate_gate.grpc_interceptors import GateInterceptor

from settings import GATE, PORT

with Gate(**GATE) as gate:
    server = grpc.server(futures.ThreadPoolExecutor(4), interceptors=[GateInterceptor(gate)])
    work = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
    handlers = grpc.method_handlers_generic_handler("conformance.v1.Subject", {"Work": work})
    server.add_generic_rpc_handlers((handlers,))
    server.add_insecure_port(f"127.0.0.1:{PORT}")
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(0))
    server.wait_for_termination()
