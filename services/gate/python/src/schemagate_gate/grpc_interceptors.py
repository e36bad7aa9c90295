"""Server interceptors for grpc and grpc.aio; needs the extra ``schemagate-gate[grpc]``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from .aio import AsyncGate
from .decision import Refusal
from .gate import Gate
from .problem import RETRY_AFTER_SECONDS

# Health and reflection answer on a closed gate as well.
NEVER_GATED = ("/grpc.health.v1.Health/", "/grpc.reflection.")


def status_of(refusal: Refusal) -> grpc.Status:
    """UNAVAILABLE with ``ErrorInfo`` and ``RetryInfo``."""
    status = status_pb2.Status(code=code_pb2.UNAVAILABLE, message=refusal.message)
    info = error_details_pb2.ErrorInfo(
        reason=refusal.reason.value, domain="schemagate", metadata=dict(refusal.metadata)
    )
    retry = error_details_pb2.RetryInfo(
        retry_delay=duration_pb2.Duration(seconds=RETRY_AFTER_SECONDS)
    )
    for detail in (retry, info):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return rpc_status.to_status(status)


class GateInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """For ``grpc.server(..., interceptors=[GateInterceptor(gate)])``. Streams that are open when
    the gate closes end with the refusal at their next message."""

    def __init__(self, gate: Gate, exempt: Iterable[str] = ()) -> None:
        """
        :param exempt: prefixes of methods that are never gated, such as ``/admin.v1.Admin/``
        """
        self._gate = gate
        self._exempt = (*NEVER_GATED, *exempt)

    def intercept_service(self, continuation: Callable[[Any], Any], call: Any) -> Any:
        handler = continuation(call)
        if handler is None or call.method.startswith(self._exempt):
            return handler
        gate = self._gate

        def refuse_or(behavior: Callable[..., Any]) -> Callable[..., Any]:
            def unary(request: Any, context: grpc.ServicerContext) -> Any:
                refusal = gate.admit()
                if refusal:
                    context.abort_with_status(status_of(refusal))
                return behavior(request, context)

            return unary

        def refuse_or_stream(behavior: Callable[..., Any]) -> Callable[..., Any]:
            def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
                refusal = gate.admit()
                if refusal:
                    context.abort_with_status(status_of(refusal))
                for answer in behavior(request, context):
                    refusal = gate.admit()
                    if refusal:
                        context.abort_with_status(status_of(refusal))
                    yield answer

            return stream

        return _wrap(handler, refuse_or, refuse_or_stream)


class AsyncGateInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """For ``grpc.aio.server(interceptors=[AsyncGateInterceptor(gate)])``."""

    def __init__(self, gate: AsyncGate, exempt: Iterable[str] = ()) -> None:
        self._gate = gate
        self._exempt = (*NEVER_GATED, *exempt)

    async def intercept_service(self, continuation: Callable[[Any], Any], call: Any) -> Any:
        handler = await continuation(call)
        if handler is None or call.method.startswith(self._exempt):
            return handler

        def refuse_or(behavior: Callable[..., Any]) -> Callable[..., Any]:
            async def unary(request: Any, context: grpc.aio.ServicerContext) -> Any:
                await self._admit(context)
                return await behavior(request, context)

            return unary

        def refuse_or_stream(behavior: Callable[..., Any]) -> Callable[..., Any]:
            async def stream(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
                await self._admit(context)
                async for answer in behavior(request, context):
                    await self._admit(context)
                    yield answer

            return stream

        return _wrap(handler, refuse_or, refuse_or_stream)

    async def _admit(self, context: grpc.aio.ServicerContext) -> None:
        refusal = await self._gate.admit_async()
        if refusal:
            status = status_of(refusal)
            await context.abort(status.code, status.details, status.trailing_metadata)


def _wrap(
    handler: Any,
    unary: Callable[[Callable[..., Any]], Callable[..., Any]],
    stream: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> Any:
    """The same handler with its behaviour behind the gate."""
    make, behavior, wrap = {
        (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary, unary),
        (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream, stream),
        (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary, unary),
        (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream, stream),
    }[bool(handler.request_streaming), bool(handler.response_streaming)]
    return make(wrap(behavior), handler.request_deserializer, handler.response_serializer)
