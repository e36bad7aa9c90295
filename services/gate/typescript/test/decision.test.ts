import assert from "node:assert/strict";
import { test } from "node:test";

import { decide, type Mode, type Needs, type Reason } from "../src/decision";
import { type SchemaState, type SchemaView, withAnswer } from "../src/schema";

const NOW = 100_000;
const HELD = ["0001", "0002", "0003"];

function needs(mode: Mode = "head"): Needs {
  const address = "http://schema:50051";
  return { requires: "0002", builtWith: "0003", mode, address, maxStalenessMs: 60_000 };
}

function at(revision: string, changes: Partial<SchemaState> = {}): SchemaState {
  const statuses: Record<string, string> = { "": "STATUS_EMPTY", "0003": "STATUS_AT_HEAD" };
  return {
    revision,
    head: "0003",
    atHead: revision === "0003",
    status: statuses[revision] ?? "STATUS_BEHIND",
    pending: HELD.filter((held) => held > revision),
    outOfOrder: [],
    compatibleFrom: "",
    databaseId: "db",
    epoch: 1n,
    message: "",
    observedAt: 1n,
    ...changes,
  };
}

function view(state: SchemaState, changes: Partial<SchemaView> = {}): SchemaView {
  return { state, watched: state, answeredAt: NOW, ...changes };
}

const newerHead = at("0003", {
  head: "0004",
  atHead: false,
  status: "STATUS_BEHIND",
  pending: ["0004"],
});
const hole = at("0003", { pending: ["0002"], outOfOrder: ["0002"] });
const { watched: _, ...unwatched } = view(at("0003"));

const CASES: [string, SchemaView, Mode, boolean, Reason | undefined][] = [
  ["nothing known", {}, "head", false, "SCHEMA_UNREACHABLE"],
  ["at head", view(at("0003")), "head", false, undefined],
  ["behind", view(at("0002")), "head", false, "SCHEMA_NOT_AT_HEAD"],
  ["behind, was open", view(at("0002")), "head", true, "SCHEMA_NOT_AT_HEAD"],
  ["behind, required", view(at("0002")), "required", false, undefined],
  ["below required", view(at("0001")), "required", true, "SCHEMA_NOT_AT_HEAD"],
  ["empty", view(at("")), "required", false, "SCHEMA_NOT_AT_HEAD"],
  ["a pending revision opens no gate", view(newerHead), "head", false, "SCHEMA_NOT_AT_HEAD"],
  ["a pending revision closes no gate", view(newerHead), "head", true, undefined],
  ["applied above a hole", view(hole), "required", true, "SCHEMA_NOT_AT_HEAD"],
  ["compatible", view(at("0003", { compatibleFrom: "0003" })), "head", true, undefined],
  ["broken", view(at("0003", { compatibleFrom: "0004" })), "head", true, "SCHEMA_INCOMPATIBLE"],
  ["not registered", unwatched, "head", false, "SCHEMA_UNREACHABLE"],
  ["not registered, was open", unwatched, "head", true, undefined],
  ["away", view(at("0003"), { unreachable: "gone" }), "head", false, "SCHEMA_UNREACHABLE"],
  ["away, was open", view(at("0003"), { unreachable: "gone" }), "head", true, undefined],
  [
    "away for too long",
    view(at("0003"), { unreachable: "gone", answeredAt: NOW - 60_001 }),
    "head",
    true,
    "SCHEMA_UNREACHABLE",
  ],
];

for (const [name, known, mode, wasOpen, reason] of CASES) {
  test(`decides: ${name}`, () => {
    assert.equal(decide(known, needs(mode), wasOpen, NOW)?.reason, reason);
  });
}

test("a refusal says what to do", () => {
  const refusal = decide(view(at("0001")), needs(), false, NOW);
  assert.equal(
    refusal?.message,
    'schema is at 0001 but this build requires 0003; run "schema upgrade"',
  );
});

test("an answer that lags behind is not believed", () => {
  const newer = at("0003", { epoch: 3n, observedAt: 10n });
  const older = at("0002", { epoch: 2n, observedAt: 9n });
  const known = withAnswer(withAnswer({}, newer, 0), older, 0);
  assert.equal(known.state, newer);
  const restored = { ...older, observedAt: 11n };
  assert.equal(withAnswer(known, restored, 0).state, restored);
});
