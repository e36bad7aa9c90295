/** Express and Fastify: 503 with RFC 9457 problem details while the gate is closed. */
import type { IncomingMessage, ServerResponse } from "node:http";

import type { Refusal } from "./decision";
import type { Gate } from "./gate";

/** Openings are pushed to the gate, so a retry after a second is not too early. */
export const RETRY_AFTER_SECONDS = 1;
const LIVE_PATH = "/livez";
const READY_PATH = "/readyz";

export interface HttpOptions {
  /** Paths that are never gated, such as `/metrics`. */
  exempt?: readonly string[];
}

/** Middleware for Express, Connect and Polka; answers `/livez` and `/readyz` itself. */
export function expressGate(gate: Gate, options: HttpOptions = {}) {
  return (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => {
    answer(gate, options, request, response).then((isAnswered) => {
      if (!isAnswered) next();
    }, next);
  };
}

/** What {@link fastifyGate} needs of Fastify. */
interface FastifyLike {
  addHook(
    name: "onRequest",
    hook: (request: { raw: IncomingMessage }, reply: FastifyReplyLike) => Promise<unknown>,
  ): unknown;
}

interface FastifyReplyLike {
  raw: ServerResponse;
  hijack(): unknown;
}

/** Adds the gate to a Fastify instance, for all of its routes. */
export function fastifyGate(app: FastifyLike, gate: Gate, options: HttpOptions = {}): void {
  app.addHook("onRequest", async (request, reply) => {
    if (await answer(gate, options, request.raw, reply.raw)) reply.hijack();
  });
}

/** A refusal as the body of a 503: the reason and metadata are those of the gRPC error's ErrorInfo. */
export function problemOf(refusal: Refusal) {
  return {
    type: "about:blank",
    title: "Service Unavailable",
    status: 503,
    detail: refusal.message,
    reason: refusal.reason,
    domain: "schemagate",
    metadata: refusal.metadata,
  };
}

/** Whether the gate has answered the request. */
async function answer(
  gate: Gate,
  options: HttpOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  if (path === LIVE_PATH) return ok(response);
  if (options.exempt?.includes(path)) return false;
  const refusal = await gate.admit();
  if (refusal) {
    const body = JSON.stringify(problemOf(refusal));
    response.writeHead(503, {
      "content-type": "application/problem+json",
      "content-length": Buffer.byteLength(body),
      "retry-after": String(RETRY_AFTER_SECONDS),
      "cache-control": "no-store",
    });
    response.end(body);
    return true;
  }
  return path === READY_PATH ? ok(response) : false;
}

function ok(response: ServerResponse): true {
  response.writeHead(200, { "content-type": "text/plain" });
  response.end("ok\n");
  return true;
}
