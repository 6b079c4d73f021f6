import type { JSX } from "preact";
import type { Registration } from "../api/types";
import { clock, duration } from "../ui/format";
import { evidenceLabel, longReason, next } from "../ui/words";
import { StateBadge } from "../ui/badge";

/** The state, why, since when, and what happens if nothing is heard. */
export function StateCard({ registration, now }: { registration: Registration | null; now: number }): JSX.Element {
  if (registration === null) {
    return (
      <section class="card state-unknown state-card" data-panel-state="unknown">
        <p class="state-line">
          <StateBadge state="unknown" />
        </p>
        <p>It was never registered: nothing has been heard of it yet.</p>
      </section>
    );
  }
  const { state, reason, since, deadline } = registration;
  const after = next(registration);
  return (
    <section class={`card state-card state-${state}`} data-panel-state={state} data-panel-reason={reason}>
      <p class="state-line">
        <StateBadge state={state} />
        {since !== null && (
          <span class="muted" title={new Date(since).toISOString()}>
            since {clock(since, now)} · {duration(Math.max(0, Math.floor((now - since) / 1000) * 1000))}
          </span>
        )}
      </p>
      <p>{longReason(reason)}</p>
      {deadline !== null && after !== null && <Countdown deadline={deadline} now={now} verb={after.verb} />}
    </section>
  );
}

/** A bar of at most this span; a deadline farther off is shown full. */
const BAR_MS = 75_000;

function Countdown({ deadline, now, verb }: { deadline: number; now: number; verb: string }): JSX.Element {
  const left = deadline - now;
  const part = Math.min(1, Math.max(0, left / BAR_MS));
  return (
    <div class="countdown" data-countdown={verb}>
      <p>
        {left > 0 ? (
          <>
            <b>{verb}</b> in <b class="num">{duration(left)}</b> if nothing is heard
          </>
        ) : (
          <>
            <b>{verb}</b> any moment: the deadline has passed
          </>
        )}
      </p>
      <div class="bar" aria-hidden="true">
        <i style={{ transform: `scaleX(${part})` }} />
      </div>
    </div>
  );
}

/** The rest of what the register holds. */
export function RegistrationFacts({ registration, now }: { registration: Registration; now: number }): JSX.Element {
  const facts: [string, string | null][] = [
    ["Region", registration.region],
    ["Session epoch", registration.epoch === null ? null : String(registration.epoch)],
    ["Claim number", registration.n === null ? null : String(registration.n)],
    ["H3 cell", registration.cell],
    ["Address", registration.address],
    ["Seen from", registration.seenAddress],
  ];
  const evidence = Object.entries(registration.evidence);
  return (
    <section aria-label="Registration">
      <h3>Registration</h3>
      <dl class="facts">
        {facts.map(([name, value]) => value !== null && <Fact key={name} name={name} value={value} />)}
        {evidence.length > 0 && <dt class="facts-head">Evidence</dt>}
        {evidence.map(([key, value]) => (
          <Fact key={key} name={evidenceLabel(key)} value={evidenceText(value, now)} />
        ))}
      </dl>
    </section>
  );
}

function Fact({ name, value }: { name: string; value: string }): JSX.Element {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

const LOOKS_LIKE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

function evidenceText(value: unknown, now: number): string {
  if (typeof value === "string") {
    const time = LOOKS_LIKE_TIME.test(value) ? Date.parse(value) : NaN;
    return Number.isNaN(time) ? value : clock(time, now);
  }
  if (typeof value !== "object" || value === null) return String(value);
  return Object.entries(value)
    .map(([key, entry]) => `${evidenceLabel(key)} ${evidenceText(entry, now)}`)
    .join(", ");
}
