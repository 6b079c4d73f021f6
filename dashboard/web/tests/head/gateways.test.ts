import { expect, test } from "vitest";
import { healthOf } from "../../src/head/gateways";
import { T0 } from "../build";

const GATEWAY = { region: "r", storing: true, silent: false, lagSeconds: 0.24, heartbeat: T0 };

test.each([
  [GATEWAY, "good", "storing, lag 0.2 s"],
  [{ ...GATEWAY, lagSeconds: 75 }, "warn", "storing, lag 75 s"],
  [{ ...GATEWAY, storing: false }, "bad", "not storing: the database is away"],
  [{ ...GATEWAY, silent: true }, "bad", "silent for 20 s"],
])("health %#", (gateway, level, words) => {
  expect(healthOf(gateway, T0 + 20_000)).toEqual({ level, words });
});
