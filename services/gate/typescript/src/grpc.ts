/** grpc-js: a server interceptor that answers UNAVAILABLE with ErrorInfo while the gate is closed. */
import * as grpc from "@grpc/grpc-js";
import protobuf from "protobufjs";

import type { Refusal } from "./decision";
import type { Gate } from "./gate";
import { RETRY_AFTER_SECONDS } from "./http";

/** Health and reflection answer on a closed gate as well. */
const NEVER_GATED = ["/grpc.health.v1.Health/", "/grpc.reflection."];

export interface GrpcOptions {
  /** Prefixes of methods that are never gated, such as `/admin.v1.Admin/`. */
  exempt?: readonly string[];
}

/** For `new grpc.Server({ interceptors: [grpcGate(gate)] })`. */
export function grpcGate(gate: Gate, options: GrpcOptions = {}): grpc.ServerInterceptor {
  const exempt = [...NEVER_GATED, ...(options.exempt ?? [])];
  return (method, call) => {
    if (exempt.some((prefix) => method.path.startsWith(prefix))) {
      return new grpc.ServerInterceptingCall(call);
    }
    let isRefused = false;
    return new grpc.ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, mdNext) => {
            void gate.admit().then((refusal) => {
              if (refusal === undefined) return mdNext(metadata);
              isRefused = true;
              call.sendStatus(statusOf(refusal));
            });
          },
          onReceiveMessage: (message, messageNext) => {
            if (!isRefused) messageNext(message);
          },
          onReceiveHalfClose: (halfCloseNext) => {
            if (!isRefused) halfCloseNext();
          },
        });
      },
      // A stream that is open when the gate closes ends with the refusal at its next message.
      sendMessage: (message, next) => {
        const { refusal } = gate.report;
        if (refusal === undefined) return next(message);
        if (!isRefused) {
          isRefused = true;
          call.sendStatus(statusOf(refusal));
        }
      },
      sendStatus: (status, next) => {
        if (!isRefused) next(status);
      },
    });
  };
}

/** UNAVAILABLE with `ErrorInfo` and `RetryInfo` in `grpc-status-details-bin`. */
export function statusOf(refusal: Refusal): grpc.StatusObject {
  const details = [
    pack("google.rpc.RetryInfo", RetryInfo, { retryDelay: { seconds: RETRY_AFTER_SECONDS } }),
    pack("google.rpc.ErrorInfo", ErrorInfo, {
      reason: refusal.reason,
      domain: "schemagate",
      metadata: refusal.metadata,
    }),
  ];
  const code = grpc.status.UNAVAILABLE;
  const metadata = new grpc.Metadata();
  const status = Status.encode({ code, message: refusal.message, details }).finish();
  metadata.set("grpc-status-details-bin", Buffer.from(status));
  return { code, details: refusal.message, metadata };
}

// The messages of google/rpc/status.proto and error_details.proto that are used here.
const DEFINITIONS: unknown = {
  nested: {
    Any: {
      fields: { typeUrl: { type: "string", id: 1 }, value: { type: "bytes", id: 2 } },
    },
    Status: {
      fields: {
        code: { type: "int32", id: 1 },
        message: { type: "string", id: 2 },
        details: { rule: "repeated", type: "Any", id: 3 },
      },
    },
    ErrorInfo: {
      fields: {
        reason: { type: "string", id: 1 },
        domain: { type: "string", id: 2 },
        metadata: { keyType: "string", type: "string", id: 3 },
      },
    },
    RetryInfo: { fields: { retryDelay: { type: "Duration", id: 1 } } },
    Duration: { fields: { seconds: { type: "int64", id: 1 }, nanos: { type: "int32", id: 2 } } },
  },
};
const types = protobuf.Root.fromJSON(DEFINITIONS as protobuf.INamespace);
const Status = types.lookupType("Status");
const ErrorInfo = types.lookupType("ErrorInfo");
const RetryInfo = types.lookupType("RetryInfo");

function pack(name: string, type: protobuf.Type, value: object) {
  return { typeUrl: `type.googleapis.com/${name}`, value: type.encode(value).finish() };
}
