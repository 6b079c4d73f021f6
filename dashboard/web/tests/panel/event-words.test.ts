import { describe, expect, test } from "vitest";
import { eventDetail, eventWord } from "../../src/panel/event-words";

function detail(kind: string, data: Record<string, unknown>): string {
  return eventDetail({ boot: "0", seq: 1, time: 0, kind, data });
}

describe("events in words", () => {
  test("name the kinds that are known, and others as they are", () => {
    expect(eventWord("harsh_brake")).toBe("Harsh braking");
    expect(eventWord("door_open")).toBe("door open");
  });

  test("say the part that matters", () => {
    expect(detail("dtc", { code: "P0300", active: true, lat: 60 })).toBe("P0300 appeared");
    expect(detail("dtc", { code: "P0300", active: false })).toBe("P0300 cleared");
    expect(detail("harsh_brake", { acceleration: -4.26, speed: 39.7 })).toBe("−4.26 m/s² at 40 km/h");
    expect(detail("harsh_acceleration", { acceleration: 3 })).toBe("3 m/s²");
    expect(detail("hazard_heard", { distance: 340.4, cause: 94 })).toBe("340 m away");
    expect(detail("crash", { delta_v: 5.1, acceleration: 14 })).toBe("speed changed by 5 km/h");
  });

  test("show unknown data as it is, without the place, and not all of it", () => {
    expect(detail("door_open", { door: "rear", count: 2, lat: 60, lon: 25 })).toBe("door rear, count 2");
    expect(detail("dtc", { code: 7 })).toBe("code 7");
    expect(detail("note", { text: "x".repeat(500) })).toHaveLength(81);
    expect(detail("note", {})).toBe("");
  });
});
