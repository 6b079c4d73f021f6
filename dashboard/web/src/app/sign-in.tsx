import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useModel } from "./model";
import type { Credentials } from "../api/client";

/** Shown when the server wants to know who is looking. */
export function SignIn({ onDone }: { onDone: () => void }): JSX.Element {
  const model = useModel();
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const field = (name: string): string => String(data.get(name) ?? "").trim();
    const credentials: Credentials = field("key")
      ? { key: field("key") }
      : { user: field("user"), password: String(data.get("password") ?? "") };
    if (!("key" in credentials) && (credentials.user === "" || credentials.password === "")) {
      setFailure("Enter a key, or a user and a password.");
      return;
    }
    setBusy(true);
    try {
      await model.api.signIn(credentials);
      onDone();
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <main class="sign-in">
      <div class="card">
        <h1>Sign in to fleetcell</h1>
        <p>
          Open the link that <code>fleetcell up</code> printed when it started: it signs this browser in. Each link works
          once.
        </p>
        <form onSubmit={(event) => void submit(event)}>
          <label>
            API key
            <input name="key" type="password" autocomplete="off" spellcheck={false} />
          </label>
          <p class="or">or</p>
          <label>
            User
            <input name="user" autocomplete="username" autocapitalize="off" spellcheck={false} />
          </label>
          <label>
            Password
            <input name="password" type="password" autocomplete="current-password" />
          </label>
          {failure !== null && (
            <p class="failure" role="alert">
              {failure}
            </p>
          )}
          <button type="submit" class="primary" disabled={busy}>
            {busy ? "Signing in…" : "Sign in"}
          </button>
        </form>
        <p class="muted">
          The administrator's key is in the file <code>admin.key</code> of the data directory.
        </p>
      </div>
    </main>
  );
}
