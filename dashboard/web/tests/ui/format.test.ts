import { expect, test } from "vitest";
import { age, clock, duration, grouped, plural, signalText, speed } from "../../src/ui/format";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

test.each([
  [-500, "0 s"],
  [3.9 * SECOND, "3 s"],
  [59.9 * SECOND, "59 s"],
  [4 * MINUTE + 50 * SECOND, "4 min"],
  [47 * HOUR, "47 h"],
  [49 * HOUR, "2 d"],
])("age of %d ms is %s", (ms, words) => expect(age(ms)).toBe(words));

test.each([
  [6.2 * SECOND, "7 s"],
  [0, "0 s"],
  [80 * SECOND, "1 min 20 s"],
  [2 * MINUTE, "2 min"],
  [2 * HOUR + 5 * MINUTE, "2 h 5 min"],
])("duration of %d ms is %s", (ms, words) => expect(duration(ms)).toBe(words));

test("times show their date when it is not today's", () => {
  const noon = new Date(2026, 10, 20, 12, 0, 5).getTime();
  expect(clock(noon, noon + HOUR)).toBe("12:00:05");
  expect(clock(noon, noon + 24 * HOUR)).toBe("20 Nov, 12:00:05");
  expect(clock(noon, noon + 400 * 24 * HOUR)).toBe("20 Nov 2026, 12:00:05");
});

test("values have as many digits as they are worth", () => {
  expect(signalText("lat", 60.1699123456)).toBe("60.169912");
  expect(signalText("lon", -8.388042)).toBe("\u22128.388042");
  expect(signalText("soc", 71)).toBe("71");
  expect(signalText("lvbat", 12.649)).toBe("12.6");
  expect(signalText("acc", 3.456)).toBe("3.46");
  expect(signalText("odo", 48211.4)).toBe("48\u2009211");
  expect(signalText("rsrp", -93.25)).toBe("\u221293.3");
  expect(signalText("ignition", false)).toBe("off");
  expect(signalText("dtc", [])).toBe("none");
  expect(signalText("dtc", ["P0420", "P0301"])).toBe("P0420, P0301");
  expect(signalText("x", null)).toBe("–");
});

test("small words", () => {
  expect(grouped(-0.001, 1)).toBe("0.0");
  expect(grouped(1234)).toBe("1234");
  expect(grouped(1234567)).toBe("1\u2009234\u2009567");
  expect(speed(null)).toBe("–");
  expect(speed(49.6)).toBe("50 km/h");
  expect(plural(1, "vehicle")).toBe("1 vehicle");
  expect(plural(2, "vehicle")).toBe("2 vehicles");
});
