import { describe, expect, test } from "vitest";
import { ReadError, alert as readAlert, geofence as readGeofence } from "../../src/api/read";
import type { Alert } from "../../src/api/types";
import { alertWords, openOnes, outcome } from "../../src/geofences/alerts";

function alert(change: Partial<Alert> = {}): Alert {
  return { id: 1, vehicle: "car", geofence: "depot", kind: "enter", at: 0, state: "open", acknowledgedBy: null, ...change };
}

describe("an alert", () => {
  test("says what happened", () => {
    expect(["enter", "exit", "dwell", "later"].map((kind) => alertWords(alert({ kind })))).toEqual([
      "entered depot",
      "left depot",
      "stays in depot",
      "later depot",
    ]);
  });

  test("says what became of it", () => {
    expect(outcome(alert())).toBe("");
    expect(outcome(alert({ state: "corrected" }))).toBe("was not so");
    expect(outcome(alert({ state: "acknowledged", acknowledgedBy: "key ops" }))).toBe("seen to by key ops");
    expect(openOnes([alert(), alert({ state: "corrected" }), alert({ state: "acknowledged" })])).toBe(1);
  });

  test("of the API is read, or refused with the reason", () => {
    const row = { id: 4, vehicle: "car", geofence: "depot", kind: "exit", at: "2026-11-20T10:00:00Z", state: "open" };
    expect(readAlert(row)).toEqual(alert({ id: 4, kind: "exit", at: Date.parse(row.at) }));
    expect(() => readAlert({ ...row, state: "lost" })).toThrow(ReadError);
  });
});

describe("a geofence of the API", () => {
  const row = { id: 4, name: "depot", geometry: { type: "Point", coordinates: [25, 60] }, radius_m: 200 };

  test("is read", () => {
    expect(readGeofence(row)).toEqual({ id: 4, name: "depot", geometry: row.geometry, radius: 200 });
  });

  test.each([{ ...row, radius_m: null }, { ...row, geometry: { type: "Line", coordinates: [] } }, { ...row, geometry: null }])(
    "is refused where the map could not draw it",
    (wrong) => {
      expect(() => readGeofence(wrong)).toThrow(ReadError);
    },
  );
});
