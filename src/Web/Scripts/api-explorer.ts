// The try-it page follows the theme of the other pages; its own script knows only the system's.
{
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = (): void => {
    const chosen = localStorage.getItem("webvm-theme");
    const dark = chosen ? chosen === "dark" : system.matches;
    if (root.classList.contains("dark-mode") !== dark) {
      root.classList.toggle("dark-mode", dark);
    }
  };
  apply();
  system.addEventListener("change", apply);
  new MutationObserver(apply).observe(root, { attributes: true, attributeFilter: ["class"] });
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
