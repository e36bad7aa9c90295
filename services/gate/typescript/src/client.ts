/** How the schema service is reached: address, TLS, token, keepalive; and its contract. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as grpc from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";

import type { SchemaState } from "./schema";

/** An answer that takes longer counts as none. */
export const CURRENT_TIMEOUT_MS = 1_000;
const BACKOFF_FIRST_MS = 50;
const BACKOFF_LONGEST_MS = 1_000;

const CHANNEL_OPTIONS: grpc.ChannelOptions = {
  // A host that vanished without closing its connections is noticed after eight seconds.
  "grpc.keepalive_time_ms": 5_000,
  "grpc.keepalive_timeout_ms": 3_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1_000,
  // Each gate has a connection of its own: a stuck one is given up, not shared.
  "grpc.use_local_subchannel_pool": 1,
};

/** Where the schema service is, and what it is shown. */
export interface Endpoint {
  readonly url: string;
  /** PEM files; with an https:// URL. */
  readonly caFile?: string | undefined;
  readonly clientCertFile?: string | undefined;
  readonly clientKeyFile?: string | undefined;
  /** A file with the token to show; read at each call, so that a rotated token is used. */
  readonly tokenFile?: string | undefined;
}

/** How this process registers as a live dependent. */
export interface Registration {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  readonly requires: string;
  readonly builtWith: string;
}

/** A setting that cannot work: which one, and why. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
}

export function newInstanceName(): string {
  return randomUUID();
}

/** Throws a {@link ConfigurationError} where the endpoint cannot work. */
export function checkEndpoint(endpoint: Endpoint): void {
  const url = parseUrl(endpoint.url);
  const isTls = url.protocol === "https:";
  if ((endpoint.clientCertFile === undefined) !== (endpoint.clientKeyFile === undefined)) {
    throw new ConfigurationError("clientCertFile and clientKeyFile go together");
  }
  if (!isTls && (endpoint.caFile !== undefined || endpoint.clientCertFile !== undefined)) {
    throw new ConfigurationError("schemaUrl: TLS files need an https:// URL");
  }
  if (!isTls && endpoint.tokenFile !== undefined && !isLoopback(url.hostname)) {
    throw new ConfigurationError(
      "schemaUrl: a token is sent over https:// only, except to this machine",
    );
  }
}

/** One connection to the schema service. */
export class SchemaClient {
  readonly #client: grpc.Client;

  constructor(private readonly endpoint: Endpoint) {
    const url = parseUrl(endpoint.url);
    const port = url.port || (url.protocol === "https:" ? "443" : "80");
    const read = (file: string | undefined) => (file === undefined ? null : readFileSync(file));
    const credentials =
      url.protocol === "https:"
        ? grpc.credentials.createSsl(
            read(endpoint.caFile),
            read(endpoint.clientKeyFile),
            read(endpoint.clientCertFile),
          )
        : grpc.credentials.createInsecure();
    this.#client = new grpc.Client(`${url.hostname}:${port}`, credentials, CHANNEL_OPTIONS);
  }

  /** Asks Current once. */
  current(): Promise<SchemaState> {
    const method = CONTRACT.Current;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        {},
        this.#metadata(),
        { deadline: Date.now() + CURRENT_TIMEOUT_MS },
        (error, answer) =>
          error ? reject(error) : resolve(stateOf((answer as WireResponse).state)),
      );
    });
  }

  /** Opens a Watch stream, which registers as a dependent for as long as it is open. */
  watch(registration: Registration): grpc.ClientReadableStream<unknown> {
    const method = CONTRACT.Watch;
    const { service, instance, version, requires, builtWith } = registration;
    const dependent = { service, instance, version, requires, built_with: builtWith };
    return this.#client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      { dependent },
      this.#metadata(),
    );
  }

  close(): void {
    this.#client.close();
  }

  #metadata(): grpc.Metadata {
    const metadata = new grpc.Metadata();
    if (this.endpoint.tokenFile !== undefined) {
      const token = readFileSync(this.endpoint.tokenFile, "utf8").trim();
      metadata.set("authorization", `Bearer ${token}`);
    }
    return metadata;
  }
}

/** The state in a Watch stream's message. */
export function watchedState(message: unknown): SchemaState {
  return stateOf((message as WireResponse).state);
}

/**
 * Milliseconds until the next attempt: doubles up to a limit, with a random part, so that replicas that
 * lost one server at the same moment do not come back at the same moment.
 */
export function backoffMs(failures: number): number {
  const full = Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(failures, 10), BACKOFF_LONGEST_MS);
  return full * (0.5 + Math.random() / 2);
}

/** One line about a failed call. */
export function describeError(error: unknown): string {
  const { code, details } = error as Partial<grpc.ServiceError>;
  if (code !== undefined) return `${grpc.status[code] ?? code}: ${details ?? ""}`;
  return error instanceof Error ? error.message : String(error);
}

export function isTimeout(error: unknown): boolean {
  return (error as Partial<grpc.ServiceError>).code === grpc.status.DEADLINE_EXCEEDED;
}

interface WireState {
  revision: string;
  head: string;
  at_head: boolean;
  status: string;
  pending: string[];
  out_of_order: string[];
  compatible_from: string;
  database_id: string;
  epoch: string;
  message: string;
  observed_at: { seconds: string; nanos: number } | null;
}

interface WireResponse {
  state: WireState | null;
}

type Methods = Record<"Current" | "Watch", grpc.MethodDefinition<object, unknown>>;

const CONTRACT = (() => {
  const set = readFileSync(join(packageRoot(), "contract.binpb"));
  const definition = loadFileDescriptorSetFromBuffer(set, {
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
  });
  return definition["schema.v1.SchemaService"] as unknown as Methods;
})();

/** Where package.json is: above `dist` or `build/src`. */
function packageRoot(): string {
  const above = __dirname.endsWith(join("build", "src")) ? ["..", ".."] : [".."];
  return join(__dirname, ...above);
}

function stateOf(state: WireState | null): SchemaState {
  const at = state?.observed_at;
  return {
    revision: state?.revision ?? "",
    head: state?.head ?? "",
    atHead: state?.at_head ?? false,
    status: state?.status ?? "STATUS_UNSPECIFIED",
    pending: state?.pending ?? [],
    outOfOrder: state?.out_of_order ?? [],
    compatibleFrom: state?.compatible_from ?? "",
    databaseId: state?.database_id ?? "",
    epoch: BigInt(state?.epoch ?? 0),
    message: state?.message ?? "",
    observedAt: at ? BigInt(at.seconds) * 1_000_000_000n + BigInt(at.nanos) : 0n,
  };
}

function parseUrl(text: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // Refused below.
  }
  if (!url?.hostname || !["http:", "https:"].includes(url.protocol)) {
    throw new ConfigurationError(
      `schemaUrl: ${JSON.stringify(text)} is not a URL such as http://127.0.0.1:50051`,
    );
  }
  return url;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || host.startsWith("127.");
}
