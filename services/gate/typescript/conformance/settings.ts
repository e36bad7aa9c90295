/** The settings of a subject of the conformance suite, from the environment. */
import { Gate, type Mode } from "../src/index";

function env(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

export const PORT = Number(env("PORT"));

export const gate = new Gate({
  service: "subject",
  schemaUrl: env("SCHEMA_URL"),
  requires: env("REQUIRES"),
  builtWith: env("BUILT_WITH"),
  mode: env("MODE") as Mode,
  maxStalenessMs: Number(env("MAX_STALENESS")) * 1000,
}).start();

process.on("SIGTERM", () => void gate.close().then(() => process.exit()));
