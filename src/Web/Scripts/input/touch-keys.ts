/** What Backspace can take away: mobile keyboards report no deletion in an empty field. */
const sentinel = "\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b";
const longest = 200;

/**
 * The row of keys for touch screens: a field that brings up the system's keyboard, and keys that it lacks. In the row, `data-key` names
 * a key to press, `data-hold` one that is held for the next key or character.
 */
export class TouchKeys {
  private readonly field: HTMLTextAreaElement;
  private readonly held = new Map<string, HTMLElement>();
  private before = sentinel;

  constructor(private readonly row: HTMLElement, private readonly key: (code: string, pressed: boolean) => void, private readonly type: (text: string) => void) {
    this.field = row.querySelector("textarea")!;
    this.reset();
    row.addEventListener("click", this.clicked);
    this.field.addEventListener("input", this.changed);
    this.field.addEventListener("blur", this.releaseAll);
  }

  dispose(): void {
    this.releaseAll();
    this.row.removeEventListener("click", this.clicked);
    this.field.removeEventListener("input", this.changed);
    this.field.removeEventListener("blur", this.releaseAll);
  }

  private readonly clicked = (event: MouseEvent): void => {
    const button = (event.target as Element).closest<HTMLElement>("[data-key], [data-hold]");
    if (button?.dataset.key) {
      this.press(button.dataset.key);
    } else if (button?.dataset.hold) {
      this.hold(button.dataset.hold, button);
    }
  };

  /** A keyboard that suggests and corrects replaces what it wrote before: the guest gets Backspace for what went. */
  private readonly changed = (event: Event): void => {
    const now = this.field.value;
    let same = 0;
    while (same < now.length && same < this.before.length && now[same] === this.before[same]) {
      same++;
    }
    for (let i = same; i < this.before.length; i++) {
      this.press("Backspace");
    }
    const text = now.slice(same).replaceAll("\u200b", "");
    if (text.length > 0) {
      this.type(text);
      this.releaseAll();
    }
    this.before = now;
    if (!(event as InputEvent).isComposing && (now.length < sentinel.length || now.length > longest || text.endsWith("\n"))) {
      this.reset();
    }
  };

  private readonly releaseAll = (): void => {
    this.held.forEach((button, code) => {
      this.key(code, false);
      button.setAttribute("aria-pressed", "false");
    });
    this.held.clear();
  };

  private press(code: string): void {
    this.key(code, true);
    this.key(code, false);
    this.releaseAll();
  }

  private hold(code: string, button: HTMLElement): void {
    const down = !this.held.delete(code);
    if (down) {
      this.held.set(code, button);
    }
    this.key(code, down);
    button.setAttribute("aria-pressed", String(down));
    this.field.focus();
  }

  private reset(): void {
    this.field.value = this.before = sentinel;
  }
}
