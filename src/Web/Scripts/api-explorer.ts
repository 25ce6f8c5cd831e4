// The try-it page follows the theme of the other pages; its own script knows only the system's.
{
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = (): void => {
    const chosen = localStorage.getItem("webvm-theme");
    const dark = chosen ? chosen === "dark" : system.matches;
    root.dataset.theme = dark ? "dark" : "light";
    if (root.classList.contains("dark-mode") !== dark) {
      root.classList.toggle("dark-mode", dark);
    }
  };
  apply();
  system.addEventListener("change", apply);
  new MutationObserver(apply).observe(root, { attributes: true, attributeFilter: ["class"] });
  document.addEventListener("DOMContentLoaded", () => {
    const bar = document.createElement("header");
    bar.className = "explorer-bar";
    bar.innerHTML = `<a href="/"><img src="/icons/webvm.svg" width="26" height="26" alt=""> WebVm</a><nav aria-label="Main"><a href="/api">REST API</a><a href="/tokens">API tokens</a></nav>`;
    document.body.prepend(bar);
  });
  // What its own script leaves unnamed for those who do not see the page.
  new MutationObserver((_, observer) => {
    const servers = document.getElementById("servers");
    if (servers) {
      servers.setAttribute("aria-label", "Server");
      document.getElementById("swagger-ui")?.setAttribute("role", "main");
      observer.disconnect();
    }
  }).observe(root, { childList: true, subtree: true });
}
