"""A gRPC service without a gate."""

import sys
from concurrent import futures

import grpc

server = grpc.server(futures.ThreadPoolExecutor(4))
work = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
handlers = grpc.method_handlers_generic_handler("conformance.v1.Subject", {"Work": work})
server.add_generic_rpc_handlers((handlers,))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
