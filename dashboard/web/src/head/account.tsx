import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useModel } from "../app/model";
import { Icon } from "../ui/icons";

/** Who is signed in, and the way out. */
export function Account(): JSX.Element | null {
  const model = useModel();
  const [failure, setFailure] = useState<string | null>(null);
  const session = model.session.value;
  if (session === null) return null;
  const label = failure ?? `Sign out ${session.name} (${session.role})`;
  const leave = async (): Promise<void> => {
    try {
      await model.api.signOut();
    } catch (error) {
      setFailure(`Not signed out: ${error instanceof Error ? error.message : String(error)}. Try again`);
    }
  };
  return (
    <button
      type="button"
      class={failure === null ? "icon-button" : "icon-button failed"}
      title={label}
      aria-label={label}
      onClick={() => void leave()}
    >
      <Icon name="leave" />
    </button>
  );
}
