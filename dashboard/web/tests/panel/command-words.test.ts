import { describe, expect, test } from "vitest";
import { COMMAND_STATES } from "../../src/api/types";
import { CHOICES, canCancel, commandWords, isUnderWay, resultText } from "../../src/panel/command-words";

describe("words of commands", () => {
  test("each state has its own", () => {
    expect(new Set(COMMAND_STATES.map(commandWords)).size).toBe(COMMAND_STATES.length);
  });

  test("what was sent cannot be called off, and what has ended is not under way", () => {
    expect(COMMAND_STATES.filter(canCancel)).toEqual(["queued", "paged"]);
    expect(COMMAND_STATES.filter(isUnderWay)).toEqual(["queued", "paged", "sent", "delivered"]);
  });

  test("a result is one line, whatever it holds", () => {
    expect(resultText(null)).toBe("");
    expect(resultText(undefined)).toBe("");
    expect(resultText("yes")).toBe("yes");
    expect(resultText({ locked: true })).toBe("locked true");
    expect(resultText({ wake_at: "2026-11-20T10:00:00Z", at: { lat: 1 } })).toBe(
      'wake at 2026-11-20T10:00:00Z, at {"lat":1}',
    );
  });

  test("no choice is offered twice", () => {
    expect(new Set(CHOICES.map((choice) => choice.name)).size).toBe(CHOICES.length);
  });
});
