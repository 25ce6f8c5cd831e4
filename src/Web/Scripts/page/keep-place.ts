const settle = 200;
const remembered = "webvm-list";
/** What may lie over the first lines of the window. */
const covered = 72;

/**
 * A list whose place in it is part of the page's address: `at` names the first item in view, `shown` how many there are. So the way back, a
 * reload and a bookmark lead to the same items. Items are marked with `data-vm`. Another `question` is another list, which begins at its top.
 */
export class KeepPlace extends HTMLElement {
  static readonly observedAttributes = ["question"];

  private timer = 0;
  private readonly scrolled = (): void => {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.remember(), settle);
  };

  connectedCallback(): void {
    window.addEventListener("scroll", this.scrolled, { passive: true });
    this.addEventListener("click", this.leave, true);
    requestAnimationFrame(() => this.restore());
  }

  disconnectedCallback(): void {
    window.clearTimeout(this.timer);
    window.removeEventListener("scroll", this.scrolled);
    this.removeEventListener("click", this.leave, true);
  }

  attributeChangedCallback(_name: string, former: string | null, present: string | null): void {
    if (former !== null && former !== present) {
      window.scrollTo(0, 0);
    }
  }

  private restore(): void {
    const at = new URLSearchParams(location.search).get("at");
    if (at && window.scrollY === 0) {
      const item = this.querySelector(`[data-vm="${CSS.escape(at)}"]`);
      if (item) {
        window.scrollTo(0, window.scrollY + item.getBoundingClientRect().top - covered);
      }
    }
  }

  private remember(): void {
    const items = [...this.querySelectorAll<HTMLElement>("[data-vm]")];
    const first = window.scrollY > 0 ? items.find(item => item.getBoundingClientRect().top >= covered - 1) : undefined;
    const address = new URL(location.href);
    address.searchParams.delete("at");
    address.searchParams.delete("shown");
    if (first) {
      address.searchParams.set("at", first.dataset.vm!);
      address.searchParams.set("shown", String(items.length));
    }
    if (address.href !== location.href) {
      history.replaceState(history.state, "", address);
    }
  }

  /** What is clicked may lead to another page: its way back leads here. */
  private readonly leave = (): void => {
    this.remember();
    sessionStorage.setItem(remembered, location.search);
  };
}

/** Links back to the list lead to where it was left. */
export function keepWaysBack(): void {
  document.addEventListener("click", event => {
    const back = (event.target as Element).closest<HTMLAnchorElement>("a.back");
    if (back?.pathname === "/") {
      back.search = sessionStorage.getItem(remembered) ?? "";
    }
  }, true);
}
