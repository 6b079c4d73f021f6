import { describe, expect, test } from "vitest";
import type { Hazard } from "../../src/api/types";
import { hazardTimes, hazardWord, shownAt } from "../../src/hazards/hazards";

const NOW = 1_790_000_000_000;

function hazard(id: number, change: Partial<Hazard> = {}): Hazard {
  return {
    id,
    kind: "stationary_vehicle",
    lat: 60.17,
    lon: 24.94,
    heading: null,
    detected: NOW - 20_000,
    validUntil: NOW + 10_000,
    ended: null,
    region: "helsinki",
    ...change,
  };
}

describe("hazards that are shown", () => {
  test("are those that hold, and for a minute those that are over", () => {
    const shown = shownAt(
      [
        hazard(1, { validUntil: NOW - 61_000 }),
        hazard(2, { validUntil: NOW - 5_000 }),
        hazard(3, { ended: NOW - 70_000 }),
        hazard(4, { ended: NOW - 3_000 }),
        hazard(5),
      ],
      NOW,
    );
    expect(shown.map(({ hazard: { id }, over }) => [id, over])).toEqual([
      [5, false],
      [4, true],
      [2, true],
    ]);
  });

  test("end by themselves, without the server saying so", () => {
    const one = [hazard(1)];
    expect(shownAt(one, NOW + 9_999)[0]?.over).toBe(false);
    expect(shownAt(one, NOW + 10_000)[0]?.over).toBe(true);
    expect(shownAt(one, NOW + 70_000)).toEqual([]);
  });

  test("come newest first", () => {
    const shown = shownAt([hazard(1), hazard(2, { detected: NOW - 1000 }), hazard(3)], NOW);
    expect(shown.map(({ hazard: { id } }) => id)).toEqual([2, 3, 1]);
  });

  test("say since when and for how long, or since when they are over", () => {
    expect(hazardTimes({ hazard: hazard(1), over: false }, NOW)).toBe("since 20 s, for 10 s more");
    expect(hazardTimes({ hazard: hazard(1, { ended: NOW - 4000 }), over: true }, NOW)).toBe("over for 4 s");
    expect(hazardTimes({ hazard: hazard(1), over: true }, NOW + 12_000)).toBe("over for 2 s");
  });
});

describe("the words", () => {
  test("are those that people know, and a kind of a later version is a hazard", () => {
    expect(hazardWord("hard_braking")).toBe("Hard braking");
    expect(hazardWord("<b>new</b>")).toBe("Hazard");
  });
});
