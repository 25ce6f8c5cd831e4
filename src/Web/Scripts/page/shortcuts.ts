import { navigate } from "./blazor";
import { toggleTheme } from "./theme";

const prefixTime = 1200;
const places: Record<string, string> = { m: "/", i: "/images", a: "/activity", h: "/hosts", t: "/tokens" };

export function showShortcuts(): void {
  document.querySelector<HTMLElement>("#sidebar:popover-open")?.hidePopover();
  document.querySelector<HTMLDialogElement>("#shortcuts")?.showModal();
}

/** Single keys, wherever nothing is being typed. */
export function handleShortcuts(): void {
  let prefixed = 0;
  document.addEventListener("keydown", event => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || document.querySelector("dialog[open]")
      || target.matches?.("input, textarea, select, canvas, [contenteditable], .xterm *")) {
      return;
    }

    const key = event.key;
    if (performance.now() - prefixed < prefixTime && places[key]) {
      prefixed = 0;
      navigate(places[key]);
    } else if (key === "g") {
      prefixed = performance.now();
    } else if (key === "?") {
      showShortcuts();
    } else if (key === "/") {
      document.querySelector<HTMLInputElement>("[data-shortcut=search]")?.focus();
    } else if (key === "c" && document.querySelector(".topbar a[href='/create']")) {
      navigate("/create");
    } else if (key === "t") {
      toggleTheme();
    } else if (/^[1-7]$/.test(key)) {
      document.querySelectorAll<HTMLAnchorElement>(".tabs .tab")[Number(key) - 1]?.click();
    } else {
      return;
    }
    event.preventDefault();
  });
}
