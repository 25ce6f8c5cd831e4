/** The theme: what the viewer chose, else what the system has. Runs before the first paint. */
const key = "webvm-theme";
const stored = localStorage.getItem(key);
if (stored === "light" || stored === "dark") {
  document.documentElement.dataset.theme = stored;
}

/** For the page. */
export function toggleTheme(): void {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem(key, root.dataset.theme);
}
