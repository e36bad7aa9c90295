import * as grpc from "@grpc/grpc-js";

import { grpcGate } from "../src/index";
import { gate, PORT } from "./settings";

const same = (value: Buffer) => value;
const server = new grpc.Server({ interceptors: [grpcGate(gate)] });
server.addService(
  {
    work: {
      path: "/conformance.v1.Subject/Work",
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  },
  {
    work: (_call: unknown, done: grpc.sendUnaryData<Buffer>) => done(null, Buffer.alloc(0)),
  },
);
server.bindAsync(`127.0.0.1:${PORT}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
