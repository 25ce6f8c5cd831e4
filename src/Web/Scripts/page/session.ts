/** The sign-in form: name and password for a cookie. */
export function handleSignIn(): void {
  document.addEventListener("submit", event => {
    const form = event.target as HTMLFormElement;
    if (form.dataset.form === "sign-in") {
      event.preventDefault();
      void signIn(form);
    }
  });
}

export async function signOut(): Promise<void> {
  await fetch("/api/v1/session", { method: "DELETE" });
  location.assign("/sign-in");
}

async function signIn(form: HTMLFormElement): Promise<void> {
  const button = form.querySelector<HTMLButtonElement>("button[type=submit]")!;
  const error = form.querySelector<HTMLElement>("[data-error]")!;
  const data = new FormData(form);
  button.disabled = true;
  error.hidden = true;
  try {
    const response = await fetch("/api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: data.get("name"), password: data.get("password") }),
    });
    if (response.ok) {
      location.assign(ownPath(form.dataset.return));
      return;
    }
    error.textContent = response.status === 429 ? "Too many attempts. Wait a minute, then try again."
      : response.status === 401 ? "The name or the password is wrong." : `WebVm answered ${response.status}.`;
  } catch {
    error.textContent = "WebVm does not answer.";
  }
  error.hidden = false;
  button.disabled = false;
}

/** Only a path of this site: a link to the sign-in page must not lead anywhere else. */
function ownPath(path: string | undefined): string {
  const url = new URL(path || "/", location.origin);
  return url.origin === location.origin ? url.pathname + url.search : "/";
}
