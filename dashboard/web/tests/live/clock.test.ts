import { expect, test } from "vitest";
import { ServerClock } from "../../src/live/clock";

test("before the server told its time, the fallback", () => {
  expect(new ServerClock().now(5, 1000)).toBe(1000);
});

test("the quickest frame is the truest", () => {
  const clock = new ServerClock();
  clock.observe(10_000, 150); // took 150 ms
  clock.observe(15_000, 5020); // took 20 ms
  clock.observe(20_000, 11_000); // took a second
  expect(clock.now(12_000, 0)).toBe(21_980);
});

test("a server that set its clock back is believed after a while, another server at once", () => {
  const clock = new ServerClock();
  clock.observe(1_000_000, 0);
  for (let i = 0; i < 12; i += 1) clock.observe(0, 0);
  expect(clock.now(0, -1)).toBe(0);
  clock.reset();
  expect(clock.now(0, -1)).toBe(0);
  clock.observe(-5000, 0);
  expect(clock.now(0, -1)).toBe(-5000);
});
