/** Sends keys by their place on the keyboard, so that the guest's own layout decides what they mean. */
export class Keyboard {
  private readonly down = new Set<string>();
  /** Keys of which the guest knows that they went down, and not that they are up again. */
  private readonly owed = new Set<string>();

  /**
   * @param active Whether keys are the guest's now; else they stay the browser's.
   * @param send Returns whether it was sent.
   */
  constructor(private readonly target: HTMLElement, private readonly active: () => boolean, private readonly send: (code: string, pressed: boolean) => boolean) {
    target.addEventListener("keydown", this.pressed);
    target.addEventListener("keyup", this.released);
    target.addEventListener("blur", this.releaseAll);
    window.addEventListener("blur", this.releaseAll);
  }

  dispose(): void {
    this.releaseAll();
    this.target.removeEventListener("keydown", this.pressed);
    this.target.removeEventListener("keyup", this.released);
    this.target.removeEventListener("blur", this.releaseAll);
    window.removeEventListener("blur", this.releaseAll);
  }

  /** Presses keys in turn and releases them in the opposite order. */
  chord(codes: readonly string[]): void {
    codes.forEach(code => this.emit(code, true));
    [...codes].reverse().forEach(code => this.emit(code, false));
  }

  /** Sends what happened to a key. */
  emit(code: string, pressed: boolean): void {
    if (this.send(code, pressed)) {
      this.owed.delete(code);
    } else if (!pressed) {
      this.owed.add(code);
    }
  }

  /** The link is there again: keys that were let go meanwhile are so for the guest too. A press is never made up for. */
  settle(): void {
    [...this.owed].forEach(code => this.emit(code, false));
  }

  private readonly pressed = (event: KeyboardEvent): void => {
    if (event.code === "" || event.isComposing || !this.active()) {
      return;
    }
    // The way out for those who have no pointer.
    if (event.code === "Escape" && event.shiftKey) {
      event.preventDefault();
      this.target.blur();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    // Windows sends a phantom ControlLeft with AltGr, in the same instant: the guest must not see Ctrl+AltGr.
    if (event.code === "AltRight" && event.getModifierState("AltGraph") && this.down.delete("ControlLeft")) {
      this.emit("ControlLeft", false);
    }
    this.down.add(event.code);
    this.emit(event.code, true);
  };

  private readonly released = (event: KeyboardEvent): void => {
    if (event.code === "" || !(this.active() || this.down.has(event.code))) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    // Some systems report PrintScreen only when it is released.
    if (event.code === "PrintScreen" && !this.down.has(event.code)) {
      this.emit(event.code, true);
    }
    this.down.delete(event.code);
    this.emit(event.code, false);
    // macOS never reports the release of keys that were pressed together with Command.
    if (event.code === "MetaLeft" || event.code === "MetaRight") {
      this.releaseAll();
    }
  };

  /** A key released while another window has the focus is never reported: let all go now. */
  private readonly releaseAll = (): void => {
    for (const code of this.down) {
      this.emit(code, false);
    }
    this.down.clear();
  };
}
