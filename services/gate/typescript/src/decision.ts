/**
 * The decision: a pure function from what is known to a verdict.
 *
 * The rules are those of `docs/GATE.md`; every implementation of the gate passes the same conformance suite.
 */
import type { SchemaState, SchemaView } from "./schema";

/**
 * What the gate needs of the schema. `head`: to open, the schema is at head; to stay open, it holds the
 * built-with revision. `required`: to open and to stay open, it holds the required revision.
 */
export type Mode = "head" | "required";

/** Why a gate is closed: the stable code for programs, `ErrorInfo.reason`. */
export type Reason =
  | "SCHEMA_NOT_AT_HEAD"
  | "SCHEMA_INCOMPATIBLE"
  | "SCHEMA_OTHER_DATABASE"
  | "SCHEMA_MODEL_MISMATCH"
  | "SCHEMA_UNREACHABLE"
  | "SHUTTING_DOWN";

/** Why calls are refused, for programs (reason, metadata) and for people (message). */
export interface Refusal {
  readonly reason: Reason;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What this build needs of the schema. */
export interface Needs {
  readonly requires: string;
  readonly builtWith: string;
  readonly mode: Mode;
  readonly address: string;
  /** For how long an open gate tolerates a schema service that does not answer, in milliseconds. */
  readonly maxStalenessMs: number;
}

/**
 * Returns undefined where the schema allows the gate to be open, else why it does not. `now` is
 * `performance.now()`. The host's own proofs come after this one.
 */
export function decide(
  view: SchemaView,
  needs: Needs,
  wasOpen: boolean,
  now: number,
): Refusal | undefined {
  const state = reliableState(view, needs, wasOpen, now);
  if (state === undefined) return unreachable(view, needs);
  const mustBeAtHead = needs.mode === "head" && !wasOpen;
  const refusal = refutedBy(state, needs, mustBeAtHead);
  if (refusal || wasOpen) return refusal;
  // Only a registered dependent may open: otherwise the schema could be changed without it.
  if (view.watched === undefined) return notWatching(view, needs);
  return refutedBy(view.watched, needs, mustBeAtHead);
}

/** The second proof: the schema service and this service use the same database. */
export function differentDatabase(
  own: string,
  state: SchemaState,
  needs: Needs,
): Refusal | undefined {
  if (own === state.databaseId) return undefined;
  const message =
    `the schema service uses database ${state.databaseId} and this service uses ${own}; ` +
    "give both the same DATABASE_URL";
  return refusalFor("SCHEMA_OTHER_DATABASE", message, needs, state);
}

export function refusalFor(
  reason: Reason,
  message: string,
  needs: Needs,
  state?: SchemaState,
): Refusal {
  const metadata = {
    current: state?.revision ?? "",
    required: mustHold(needs),
    head: state?.head ?? "",
    status: state?.status ?? "STATUS_UNSPECIFIED",
  };
  return { reason, message, metadata };
}

/** The revision that the schema must hold for the gate to open and to stay open. */
function mustHold(needs: Needs): string {
  return needs.mode === "head" ? needs.builtWith : needs.requires;
}

/** The state, where it may still be relied on. */
function reliableState(
  view: SchemaView,
  needs: Needs,
  wasOpen: boolean,
  now: number,
): SchemaState | undefined {
  if (view.unreachable === undefined) return view.state;
  const isFresh = view.answeredAt !== undefined && now - view.answeredAt <= needs.maxStalenessMs;
  return wasOpen && isFresh ? view.state : undefined;
}

function refutedBy(state: SchemaState, needs: Needs, mustBeAtHead: boolean): Refusal | undefined {
  const current = state.revision || "base";
  if (needs.builtWith !== "" && state.compatibleFrom > needs.builtWith) {
    const message =
      `schema is at ${current}, which requires a build made for ${state.compatibleFrom} or newer, ` +
      `but this build was made for ${needs.builtWith}; deploy a newer build`;
    return refusalFor("SCHEMA_INCOMPATIBLE", message, needs, state);
  }
  const revision = mustHold(needs);
  const isMissing = state.pending.includes(revision) || state.outOfOrder.includes(revision);
  const holds = state.revision >= revision && !isMissing;
  if (holds && (state.atHead || !mustBeAtHead)) return undefined;
  const wanted = holds ? `head (${state.head || "base"})` : revision;
  const message = `schema is at ${current} but this build requires ${wanted}; ${advice(state, revision)}`;
  return refusalFor("SCHEMA_NOT_AT_HEAD", message, needs, state);
}

function advice(state: SchemaState, revision: string): string {
  switch (state.status) {
    case "STATUS_AT_HEAD":
      return `deploy a schema service that holds ${revision}, then run "schema upgrade"`;
    case "STATUS_MIGRATING":
      return "an operation is running; calls pass once it succeeds";
    case "STATUS_EMPTY":
    case "STATUS_BEHIND":
      if (state.outOfOrder.length === 0) return 'run "schema upgrade"';
  }
  const detail = state.message || "the schema service gives no details";
  return `its status is ${state.status}: ${detail}; run "schema current" for details`;
}

function unreachable(view: SchemaView, needs: Needs): Refusal {
  const { state } = view;
  if (view.unreachable === undefined) {
    const message = `schema service at ${needs.address} has not answered yet`;
    return refusalFor("SCHEMA_UNREACHABLE", message, needs, state);
  }
  const last = state
    ? `; it last reported ${state.revision || "base"} of ${state.head || "base"}`
    : "";
  const message =
    `schema service at ${needs.address} does not answer (${view.unreachable})${last}; ` +
    "start it, or correct the address that this service is configured with";
  return refusalFor("SCHEMA_UNREACHABLE", message, needs, state);
}

function notWatching(view: SchemaView, needs: Needs): Refusal {
  const error = view.watchError ?? "the stream is being opened";
  const message =
    `schema service at ${needs.address} answers, but this service is not registered by Watch ` +
    `(${error})`;
  return refusalFor("SCHEMA_UNREACHABLE", message, needs, view.state);
}
