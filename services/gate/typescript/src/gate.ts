/** The gate: watches the schema service, evaluates, and decides on calls. */
import { EventEmitter, once } from "node:events";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";

import {
  backoffMs,
  checkEndpoint,
  ConfigurationError,
  describeError,
  type Endpoint,
  isTimeout,
  newInstanceName,
  type Registration,
  SchemaClient,
  watchedState,
} from "./client";
import {
  decide,
  differentDatabase,
  type Mode,
  type Needs,
  type Reason,
  type Refusal,
  refusalFor,
} from "./decision";
import {
  canChangeVerdict,
  type SchemaView,
  withAnswer,
  withFailure,
  withWatch,
  withWatchEnded,
} from "./schema";

/** A proof on the host's own connection that takes longer counts as not tried. */
const PROOF_TIMEOUT_MS = 2_000;
/**
 * For how long a successful revalidation answers for further reports: past it, a query that is wrong in
 * itself would hold up all other calls each time it fails.
 */
const REVALIDATION_TTL_MS = 1_000;
/** How long a call waits for a revalidation before it is treated by the last verdict. */
const REVALIDATION_TIMEOUT_MS = 5_000;
/**
 * After so many answers in a row that do not come in time, the connection is replaced: a host that
 * vanished without closing it is noticed by that, where keepalive is slower.
 */
const TIMEOUTS_UNTIL_RECONNECT = 2;

/** Thrown by a proof that was tried and does not hold. Any other error means that it was not tried. */
export class ProofRefuted extends Error {
  override readonly name = "ProofRefuted";
}

/** One fact that an open gate rests on, and what was seen. */
export interface Proof {
  readonly name: "schema" | "database" | "models";
  readonly holds: boolean;
  readonly evidence: string;
}

/** The verdict, and what it rests on. `refusal` is absent while the gate is open. */
export interface Report {
  readonly refusal?: Refusal | undefined;
  readonly proofs: readonly Proof[];
  readonly isRevalidating: boolean;
  readonly since: Date;
}

export interface GateOptions {
  /** The name under which it registers as a live dependent, such as `reports`. */
  service: string;
  /** The oldest revision that this build can run on, such as `0002`. */
  requires: string;
  /** The newest revision when this build was made; `requires` if not given. */
  builtWith?: string;
  /** The schema service, `http://` or `https://`; `http://127.0.0.1:50051` if not given. */
  schemaUrl?: string;
  /** What the gate needs to open; `head` if not given. */
  mode?: Mode;
  /** The build, for people to read. */
  version?: string;
  /** This replica's name, unique among those of the service; a UUID if not given. */
  instance?: string;
  /** For how long an open gate tolerates a schema service that does not answer; an hour. */
  maxStalenessMs?: number;
  /** Between two evaluations when nothing is heard; 5 s. */
  evaluateEveryMs?: number;
  /** Reads the identity of the database that this service uses. */
  database?: () => Promise<string> | string;
  /** Checks that this service's tables are as its models need them; returns its evidence. */
  models?: () => Promise<string | void> | string | void;
  caFile?: string;
  clientCertFile?: string;
  clientKeyFile?: string;
  /** A file with the token to show to the schema service. */
  tokenFile?: string;
  /** Where openings and closings are logged; `console` if not given, `null` for nowhere. */
  logger?: Pick<Console, "info" | "warn"> | null;
}

export class Gate {
  readonly #endpoint: Endpoint;
  readonly #registration: Registration;
  readonly #needs: Needs;
  readonly #options: GateOptions;
  readonly #evaluateEveryMs: number;
  readonly #logger: Pick<Console, "info" | "warn"> | null;
  readonly #changes = new EventEmitter().setMaxListeners(0);
  readonly #stopping = new AbortController();
  #client: SchemaClient | undefined;
  #tasks: Promise<void>[] = [];
  #view: SchemaView = {};
  #report: Report;
  #wake: () => void = () => undefined;
  #cancelWatch: () => void = () => undefined;
  #isAwake = false;
  #timeouts = 0;
  #revalidations = 0;
  #revalidatedAt = Number.NEGATIVE_INFINITY;

  /** Makes a closed gate; throws a {@link ConfigurationError} where a setting cannot work. */
  constructor(options: GateOptions) {
    const { service, requires, mode = "head", maxStalenessMs = 3_600_000 } = options;
    const schemaUrl = options.schemaUrl ?? "http://127.0.0.1:50051";
    const builtWith = options.builtWith ?? requires;
    if (!service) throw new ConfigurationError("service: a name is required");
    if (mode !== "head" && mode !== "required") {
      throw new ConfigurationError(`mode: ${String(mode)} is neither "head" nor "required"`);
    }
    if (!(maxStalenessMs >= 0)) throw new ConfigurationError("maxStalenessMs: must not be negative");
    this.#evaluateEveryMs = options.evaluateEveryMs ?? 5_000;
    if (!(this.#evaluateEveryMs > 0)) {
      throw new ConfigurationError("evaluateEveryMs: must be positive");
    }
    const { caFile, clientCertFile, clientKeyFile, tokenFile } = options;
    this.#endpoint = { url: schemaUrl, caFile, clientCertFile, clientKeyFile, tokenFile };
    checkEndpoint(this.#endpoint);
    this.#options = options;
    this.#logger = options.logger === undefined ? console : options.logger;
    this.#registration = {
      service,
      instance: options.instance ?? newInstanceName(),
      version: options.version ?? "",
      requires,
      builtWith,
    };
    const address = schemaUrl.replace(/\/+$/, "");
    this.#needs = { requires, builtWith, mode, address, maxStalenessMs };
    const message = `schema service at ${address} has not answered yet`;
    this.#report = {
      refusal: refusalFor("SCHEMA_UNREACHABLE", message, this.#needs),
      proofs: [],
      isRevalidating: false,
      since: new Date(),
    };
  }

  /** Begins to watch; the gate opens by itself. */
  start(): this {
    if (this.#tasks.length === 0) {
      this.#client = new SchemaClient(this.#endpoint);
      this.#tasks = [this.#follow(), this.#evaluate()];
    }
    return this;
  }

  /**
   * Closes the gate for good and deregisters from the schema service: from then on this process holds
   * no downgrade back.
   */
  async close(): Promise<void> {
    const message = "this server is shutting down; retry on another replica";
    this.#stopping.abort();
    this.#replace({ refusal: refusalFor("SHUTTING_DOWN", message, this.#needs) });
    this.#wake();
    this.#client?.close();
    await Promise.all(this.#tasks);
  }

  get isOpen(): boolean {
    return this.#report.refusal === undefined;
  }

  /** The verdict and its proofs. */
  get report(): Report {
    return this.#report;
  }

  /** The verdict on one call: undefined lets it pass. Waits while the gate is revalidating. */
  async admit(): Promise<Refusal | undefined> {
    if (this.#report.isRevalidating) {
      await this.#waitFor((report) => !report.isRevalidating, REVALIDATION_TIMEOUT_MS);
    }
    return this.#report.refusal;
  }

  /** Resolves when the gate is open: true; false when the time is over. */
  async waitOpen(timeoutMs?: number): Promise<boolean> {
    await this.#waitFor((report) => report.refusal === undefined, timeoutMs);
    return this.isOpen;
  }

  /** Calls `listener` with each new report, and now with the present one; returns what ends that. */
  listen(listener: (report: Report) => void): () => void {
    this.#changes.on("report", listener);
    listener(this.#report);
    return () => this.#changes.off("report", listener);
  }

  /**
   * To be called when a query met an undefined table or column: the next calls wait until the gate has
   * checked again.
   */
  reportUndefined(): void {
    const isRecent = performance.now() - this.#revalidatedAt < REVALIDATION_TTL_MS;
    if (isRecent || !this.isOpen || this.#stopping.signal.aborted) return;
    this.#revalidations += 1;
    this.#replace({ ...this.#report, isRevalidating: true });
    this.#wake();
  }

  async #waitFor(condition: (report: Report) => boolean, timeoutMs?: number): Promise<void> {
    const signal = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
    try {
      while (!condition(this.#report) && !this.#stopping.signal.aborted) {
        await once(this.#changes, "report", signal ? { signal } : {});
      }
    } catch {
      // The time is over.
    }
  }

  #learn(view: SchemaView): void {
    const isNews = canChangeVerdict(this.#view, view);
    this.#view = view;
    if (isNews) this.#wake();
  }

  /** Asks Current; again at once where no answer came in time. */
  async #ask(): Promise<void> {
    do {
      try {
        const state = await this.#client!.current();
        this.#timeouts = 0;
        this.#learn(withAnswer(this.#view, state, performance.now()));
      } catch (error) {
        this.#timeouts = isTimeout(error) ? this.#timeouts + 1 : 0;
        this.#learn(withFailure(this.#view, describeError(error)));
      }
      if (this.#timeouts > 0 && this.#timeouts % TIMEOUTS_UNTIL_RECONNECT === 0) {
        const old = this.#client;
        this.#client = new SchemaClient(this.#endpoint);
        this.#cancelWatch();
        old?.close();
        return;
      }
    } while (this.#timeouts > 0 && !this.#stopping.signal.aborted);
  }

  /** Keeps a Watch stream open. */
  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; failures += 1) {
      let error = "the stream ended";
      try {
        const stream = this.#client!.watch(this.#registration);
        this.#cancelWatch = () => stream.cancel();
        const cancel = () => stream.cancel();
        signal.addEventListener("abort", cancel);
        for await (const message of stream) {
          failures = 0;
          this.#learn(withWatch(this.#view, watchedState(message), performance.now()));
        }
        signal.removeEventListener("abort", cancel);
      } catch (failure) {
        error = describeError(failure);
      }
      if (signal.aborted) return;
      this.#learn(withWatchEnded(this.#view, error));
      // Is the schema service away, or does it only refuse to be watched?
      await this.#ask();
      this.#wake();
      await sleep(backoffMs(failures), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Evaluates whenever there is something new, and from time to time. */
  async #evaluate(): Promise<void> {
    this.#wake = () => {
      this.#isAwake = true;
      this.#changes.emit("wake");
    };
    while (!this.#stopping.signal.aborted) {
      const view = this.#view;
      if (view.watched || view.watchError !== undefined || view.unreachable !== undefined) {
        await this.#runEvaluation();
      }
      if (!this.#isAwake) {
        const signal = AbortSignal.timeout(Math.ceil(this.#nextEvaluationInMs()));
        await once(this.#changes, "wake", { signal }).catch(() => undefined);
      }
      if (!this.#isAwake) await this.#ask();
      this.#isAwake = false;
    }
  }

  async #runEvaluation(): Promise<void> {
    const view = this.#view;
    const wasOpen = this.isOpen;
    const revalidations = this.#revalidations;
    const proofs: Proof[] = [];
    let refusal = decide(view, this.#needs, wasOpen, performance.now());
    const evidence = refusal?.message ?? `schema is at ${view.state?.revision || "base"}`;
    proofs.push({ name: "schema", holds: refusal === undefined, evidence });
    const { database, models } = this.#options;
    if (!refusal && database) {
      refusal = await this.#prove("database", "SCHEMA_OTHER_DATABASE", wasOpen, proofs, database);
    }
    if (!refusal && models) {
      refusal = await this.#prove("models", "SCHEMA_MODEL_MISMATCH", wasOpen, proofs, models);
    }
    this.#publish(refusal, proofs, revalidations);
  }

  /** Tries a proof of the host's and records it; the refusal where it does not hold. */
  async #prove(
    name: "database" | "models",
    reason: Reason,
    wasOpen: boolean,
    proofs: Proof[],
    prove: () => Promise<string | void> | string | void,
  ): Promise<Refusal | undefined> {
    const state = this.#view.state;
    let refusal: Refusal | undefined;
    let evidence: string;
    try {
      evidence = (await within(PROOF_TIMEOUT_MS, prove)) ?? "holds";
      if (name === "database" && state) refusal = differentDatabase(evidence, state, this.#needs);
    } catch (error) {
      evidence = describeError(error);
      if (error instanceof ProofRefuted) {
        refusal = refusalFor(reason, error.message, this.#needs, state);
      } else {
        proofs.push({ name, holds: false, evidence: `not tried: ${evidence}` });
        const message = `the proof "${name}" could not be tried: ${evidence}`;
        return wasOpen
          ? undefined
          : refusalFor("SCHEMA_UNREACHABLE", message, this.#needs, state);
      }
    }
    proofs.push({ name, holds: refusal === undefined, evidence: refusal?.message ?? evidence });
    return refusal;
  }

  /** Takes the result of an evaluation that began when `revalidations` was read. */
  #publish(refusal: Refusal | undefined, proofs: readonly Proof[], revalidations: number): void {
    const isOutdated = refusal === undefined && revalidations !== this.#revalidations;
    if (this.#stopping.signal.aborted || isOutdated) return;
    const before = this.#report;
    if (before.isRevalidating && !refusal) this.#revalidatedAt = performance.now();
    if (refusal?.message !== before.refusal?.message) {
      if (refusal) this.#logger?.warn(`gate closed: ${refusal.reason}: ${refusal.message}`);
      else this.#logger?.info("gate open");
    }
    this.#replace({ refusal, proofs });
  }

  #replace(report: Partial<Report>): void {
    const turned = (report.refusal === undefined) !== this.isOpen;
    this.#report = {
      proofs: this.#report.proofs,
      isRevalidating: false,
      ...report,
      since: turned ? new Date() : this.#report.since,
    };
    this.#changes.emit("report", this.#report);
  }

  /** Until the next evaluation is due: sooner where the view turns stale. */
  #nextEvaluationInMs(): number {
    const { unreachable, answeredAt } = this.#view;
    if (unreachable === undefined || answeredAt === undefined || !this.isOpen) {
      return this.#evaluateEveryMs;
    }
    const staleIn = answeredAt + this.#needs.maxStalenessMs - performance.now();
    return Math.max(10, Math.min(this.#evaluateEveryMs, staleIn + 10));
  }
}

async function within<T>(limitMs: number, work: () => Promise<T> | T): Promise<T> {
  const timer = new AbortController();
  try {
    const late = sleep(limitMs, undefined, { signal: timer.signal }).then(() => {
      throw new Error(`no answer within ${limitMs} ms`);
    });
    late.catch(() => undefined);
    return await Promise.race([Promise.resolve().then(work), late]);
  } finally {
    timer.abort();
  }
}
