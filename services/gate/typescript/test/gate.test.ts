import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";

import * as grpc from "@grpc/grpc-js";
import express from "express";
import fastify from "fastify";

import { ConfigurationError, expressGate, fastifyGate, Gate, grpcGate } from "../src/index";

const closedGate = () => new Gate({ service: "reports", requires: "0002", logger: null });

for (const [name, serve] of [
  [
    "express",
    async (gate: Gate) => {
      const app = express();
      app.use(expressGate(gate, { exempt: ["/metrics"] }));
      app.get(["/work", "/metrics"], (_request, response) => void response.send("done"));
      const server = app.listen(0);
      await new Promise((resolve) => server.once("listening", resolve));
      return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
    },
  ],
  [
    "fastify",
    async (gate: Gate) => {
      const app = fastify();
      fastifyGate(app, gate, { exempt: ["/metrics"] });
      app.get("/work", async () => "done");
      app.get("/metrics", async () => "done");
      await app.listen({ port: 0 });
      return { port: (app.server.address() as AddressInfo).port, close: () => void app.close() };
    },
  ],
] as const) {
  test(`${name}: a closed gate answers with problem details`, async () => {
    const server = await serve(closedGate());
    const get = (path: string) => fetch(`http://127.0.0.1:${server.port}${path}`);
    const answer = await get("/work?a=1");
    assert.equal(answer.status, 503);
    assert.equal(answer.headers.get("content-type"), "application/problem+json");
    assert.equal(answer.headers.get("retry-after"), "1");
    const problem = (await answer.json()) as { reason: string };
    assert.equal(problem.reason, "SCHEMA_UNREACHABLE");
    assert.equal((await get("/readyz")).status, 503);
    assert.equal((await get("/livez")).status, 200);
    assert.equal((await get("/metrics")).status, 200);
    server.close();
  });
}

test("grpc-js: a closed gate answers UNAVAILABLE, but for health", async () => {
  const bytes = (path: string): grpc.MethodDefinition<Buffer, Buffer> => ({
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: (value) => value,
    requestDeserialize: (value) => value,
    responseSerialize: (value) => value,
    responseDeserialize: (value) => value,
  });
  const server = new grpc.Server({ interceptors: [grpcGate(closedGate())] });
  const answer: grpc.handleUnaryCall<Buffer, Buffer> = (_call, done) => done(null, Buffer.alloc(0));
  const [work, health] = ["/a.v1.A/Work", "/grpc.health.v1.Health/Check"];
  server.addService({ work: bytes(work!) }, { work: answer });
  server.addService({ check: bytes(health!) }, { check: answer });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const call = (path: string) =>
    new Promise<grpc.ServiceError | null>((resolve) => {
      const same = (value: Buffer) => value;
      client.makeUnaryRequest(path, same, same, Buffer.alloc(0), (error) => resolve(error));
    });
  const refused = await call(work!);
  assert.equal(refused?.code, grpc.status.UNAVAILABLE);
  assert.match(refused.details, /has not answered yet/);
  const [details] = refused.metadata.get("grpc-status-details-bin");
  assert.match(String(details), /SCHEMA_UNREACHABLE/);
  assert.equal(await call(health!), null);
  client.close();
  server.forceShutdown();
});

test("what cannot work is refused by name", () => {
  for (const [options, text] of [
    [{ schemaUrl: "localhost:50051" }, /schemaUrl/],
    [{ schemaUrl: "http://h", caFile: "ca.pem" }, /https/],
    [{ schemaUrl: "http://h", tokenFile: "t" }, /token/],
    [{ schemaUrl: "https://h", clientKeyFile: "k" }, /go together/],
    [{ mode: "newest" as "head" }, /mode/],
    [{ maxStalenessMs: -1 }, /maxStalenessMs/],
  ] as const) {
    assert.throws(() => new Gate({ service: "a", requires: "1", ...options }), (error) => {
      assert.ok(error instanceof ConfigurationError);
      assert.match(error.message, text);
      return true;
    });
  }
});

test("a gate that was closed stays closed", async () => {
  const gate = closedGate();
  await gate.close();
  assert.equal((await gate.admit())?.reason, "SHUTTING_DOWN");
  assert.equal(await gate.waitOpen(), false);
});

test("the packaged contract is the one that the Python package holds", () => {
  // Which has a test that it is compiled from proto/.
  const packages = join(__dirname, "..", "..", "..");
  assert.deepEqual(
    readFileSync(join(packages, "typescript/contract.binpb")),
    readFileSync(join(packages, "python/src/schemagate_gate/contract.binpb")),
  );
});
