// Before the first paint: the theme that the viewer chose; else the stylesheets follow the system.
{
  const stored = localStorage.getItem("webvm-theme");
  if (stored === "light" || stored === "dark") {
    document.documentElement.dataset.theme = stored;
  }
}
