import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { announcement } from "../store/select";
import { useModel } from "./model";

/** Tells a screen reader of changed states, gathered so that a mass change is one sentence. */
const GATHER_MS = 2000;

export function Announcer(): JSX.Element {
  const model = useModel();
  const [words, setWords] = useState("");
  useEffect(() => {
    let before = model.fleet;
    const timer = window.setInterval(() => {
      const said = before.cursor === null ? null : announcement(before, model.fleet);
      before = model.fleet;
      if (said !== null) setWords(said);
    }, GATHER_MS);
    return () => window.clearInterval(timer);
  }, [model]);
  return (
    <div class="hidden" role="log" aria-live="polite" data-announcer>
      {words}
    </div>
  );
}
