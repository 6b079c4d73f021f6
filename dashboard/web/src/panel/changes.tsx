import type { JSX } from "preact";
import type { PresenceEvent } from "../api/types";
import { StateSign } from "../ui/badge";
import { clock, duration } from "../ui/format";
import { STATE_WORDS, shortReason } from "../ui/words";

/** The last changes of presence, newest first. */
export function Changes({ events, now }: { events: readonly PresenceEvent[] | null; now: number }): JSX.Element {
  return (
    <section aria-label="Presence history">
      <h3>Presence</h3>
      {events === null ? (
        <p class="muted">Reading…</p>
      ) : events.length === 0 ? (
        <p class="muted">No changes yet.</p>
      ) : (
        <ol class="changes">
          {events.map((event, index) => {
            const at = event.at ?? event.since;
            const newer = index === 0 ? now : (events[index - 1]?.at ?? null);
            return (
              <li key={event.cursor} class={`state-${event.state}`}>
                <StateSign state={event.state} size={15} />
                <span>
                  <b>{STATE_WORDS[event.state]}</b> · {shortReason(event.reason)}
                </span>
                <span class="muted num">{at !== null && newer !== null && duration(Math.max(0, newer - at))}</span>
                <time class="num" dateTime={at === null ? undefined : new Date(at).toISOString()}>
                  {at === null ? "" : clock(at, now)}
                </time>
              </li>
            );
          })}
        </ol>
      )}
    </section>
  );
}
