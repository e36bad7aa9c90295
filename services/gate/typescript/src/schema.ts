/** What the gate knows of the schema, and how well it knows it. */

/** The part of `schema.v1.SchemaState` that a gate decides by. */
export interface SchemaState {
  readonly revision: string;
  readonly head: string;
  readonly atHead: boolean;
  readonly status: string;
  readonly pending: readonly string[];
  readonly outOfOrder: readonly string[];
  readonly compatibleFrom: string;
  readonly databaseId: string;
  readonly epoch: bigint;
  readonly message: string;
  /** When the database was asked, in nanoseconds since the epoch. */
  readonly observedAt: bigint;
}

/** What the gate last learned from the schema service. Immutable: each answer makes a new one. */
export interface SchemaView {
  readonly state?: SchemaState;
  /** `performance.now()` of the last answer. */
  readonly answeredAt?: number;
  /** Why the schema service does not answer; absent while it does. */
  readonly unreachable?: string;
  /** What the open Watch stream last reported; absent without such a stream. */
  readonly watched?: SchemaState;
  /** Why the last Watch stream ended. */
  readonly watchError?: string;
}

/** Takes an answer of Current. An answer that lags behind a newer one is not believed. */
export function withAnswer(view: SchemaView, state: SchemaState, now: number): SchemaView {
  const { unreachable: _, ...rest } = view;
  const known = view.state;
  const believed = known && isOutdated(state, known) ? known : state;
  return { ...rest, state: believed, answeredAt: now };
}

/** Takes a state that the Watch stream reported. */
export function withWatch(view: SchemaView, state: SchemaState, now: number): SchemaView {
  return { ...withAnswer(view, state, now), watched: state };
}

export function withWatchEnded(view: SchemaView, error: string): SchemaView {
  const { watched: _, ...rest } = view;
  return { ...rest, watchError: error };
}

export function withFailure(view: SchemaView, error: string): SchemaView {
  return { ...view, unreachable: error };
}

/** Whether a verdict could be another one: the time of an answer alone changes none. */
export function canChangeVerdict(before: SchemaView, after: SchemaView): boolean {
  return (
    !sameState(before.state, after.state) ||
    !sameState(before.watched, after.watched) ||
    (before.unreachable === undefined) !== (after.unreachable === undefined) ||
    (before.watchError === undefined) !== (after.watchError === undefined)
  );
}

function sameState(a: SchemaState | undefined, b: SchemaState | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.revision === b.revision &&
    a.head === b.head &&
    a.atHead === b.atHead &&
    a.status === b.status &&
    a.epoch === b.epoch &&
    a.compatibleFrom === b.compatibleFrom &&
    a.databaseId === b.databaseId &&
    a.message === b.message &&
    sameList(a.pending, b.pending) &&
    sameList(a.outOfOrder, b.outOfOrder)
  );
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

/**
 * Replicas of the schema service may lag behind one another. A database restored from a backup falls
 * back as well, but was asked later.
 */
function isOutdated(state: SchemaState, known: SchemaState): boolean {
  return (
    state.databaseId === known.databaseId &&
    state.epoch < known.epoch &&
    state.observedAt <= known.observedAt
  );
}
