const gap = 6;
const margin = 8;

/** Menus are popovers: the browser opens and closes them; here they are placed, and the arrow keys work. */
export function placeMenus(): void {
  document.addEventListener("toggle", event => {
    const menu = event.target as HTMLElement;
    if (menu.classList?.contains("menu") && (event as ToggleEvent).newState === "open") {
      place(menu);
      items(menu)[0]?.focus();
    }
  }, true);

  document.addEventListener("click", event => {
    const item = (event.target as Element).closest("[role=menuitem], .sidebar a");
    const popover = item?.closest<HTMLElement>("[popover]");
    if (popover?.matches(":popover-open")) {
      popover.hidePopover();
    }
  });

  document.addEventListener("keydown", event => {
    const menu = (event.target as Element).closest?.(".menu") as HTMLElement | null;
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (menu && step) {
      const all = items(menu);
      const at = all.indexOf(document.activeElement as HTMLElement);
      all[(at + step + all.length) % all.length]?.focus();
      event.preventDefault();
    }
  });

  window.addEventListener("scroll", () => document.querySelectorAll<HTMLElement>(".menu:popover-open").forEach(place), { passive: true });
}

function items(menu: HTMLElement): HTMLElement[] {
  return [...menu.querySelectorAll<HTMLElement>("[role=menuitem]:not(:disabled)")];
}

function place(menu: HTMLElement): void {
  const anchor = menu.previousElementSibling!.getBoundingClientRect();
  const left = Math.min(Math.max(margin, anchor.right - menu.offsetWidth), innerWidth - menu.offsetWidth - margin);
  const below = anchor.bottom + gap;
  const fits = below + menu.offsetHeight + margin <= innerHeight || anchor.top < menu.offsetHeight + gap + margin;
  menu.style.left = `${left}px`;
  menu.style.top = `${fits ? below : anchor.top - gap - menu.offsetHeight}px`;
}
