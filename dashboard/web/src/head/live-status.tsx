import type { JSX } from "preact";
import { useModel } from "../app/model";
import { age, duration, plural } from "../ui/format";

/** Says whether what is shown is live, and says so loudly when it is not. */
export function LiveStatus(): JSX.Element {
  const model = useModel();
  model.now.value; // ticks
  const link = model.link.value;
  const heard = model.heardAt.value;
  const old = heard === null ? null : performance.now() - heard;
  const lag = model.presenceLag.value;
  const { level, words } =
    link.kind === "live"
      ? lag > 10
        ? { level: "warn", words: `live, ${Math.round(lag)} s behind` }
        : { level: "good", words: "live" }
      : link.kind === "connecting"
        ? { level: "warn", words: heard === null ? "connecting…" : "reconnecting…" }
        : link.kind === "waiting"
          ? { level: "bad", words: "reconnecting…" }
          : { level: "bad", words: "signed out" };
  const problems = model.problems.value;
  const title = [
    old === null ? "nothing received yet" : `last message ${age(old)} ago`,
    problems > 0 && `${plural(problems, "entry", "entries")} could not be read: the browser's console says why`,
  ];
  return (
    <span class={`live ${level}`} role="status" title={title.filter(Boolean).join("; ")} data-link={link.kind}>
      <i class="dot" aria-hidden="true" />
      {words}
    </span>
  );
}

/** Across the page while the feed is down: how old everything below is. */
export function StaleBanner(): JSX.Element | null {
  const model = useModel();
  model.now.value; // ticks
  const link = model.link.value;
  const heard = model.heardAt.value;
  if (link.kind === "live" || link.kind === "signed-out") return null;
  if (heard === null && link.kind === "connecting") return null;
  const monotonic = performance.now();
  const retry = link.kind === "waiting" ? link.retryAt - monotonic : 0;
  return (
    <div class="stale" role="alert">
      <strong>Not live.</strong>{" "}
      {heard === null ? "Nothing was received yet" : `What you see is ${age(monotonic - heard)} old`}
      {link.kind === "waiting" ? `: ${link.reason}. ` : ". "}
      {retry > 500 ? `Reconnecting in ${duration(retry)}.` : "Reconnecting…"}
    </div>
  );
}
