const enum Button {
  Left = 1,
  Right = 2,
  Middle = 4,
}

/** Relative pointer: a click captures it, Escape (the browser's own way) gives it back. */
export class Pointer {
  private buttons = 0;
  private x = 0;
  private y = 0;
  private wheel = 0;
  private scheduled = false;

  constructor(private readonly canvas: HTMLCanvasElement, private readonly send: (x: number, y: number, wheel: number, buttons: number) => void) {
    canvas.addEventListener("pointerdown", this.pressed);
    canvas.addEventListener("pointerup", this.released);
    canvas.addEventListener("pointermove", this.moved);
    canvas.addEventListener("wheel", this.wheeled, { passive: false });
    canvas.addEventListener("contextmenu", prevent);
  }

  dispose(): void {
    this.canvas.removeEventListener("pointerdown", this.pressed);
    this.canvas.removeEventListener("pointerup", this.released);
    this.canvas.removeEventListener("pointermove", this.moved);
    this.canvas.removeEventListener("wheel", this.wheeled);
    this.canvas.removeEventListener("contextmenu", prevent);
    if (document.pointerLockElement === this.canvas) {
      document.exitPointerLock();
    }
  }

  private get captured(): boolean {
    return document.pointerLockElement === this.canvas;
  }

  private readonly pressed = (event: PointerEvent): void => {
    this.canvas.focus();
    if (!this.captured) {
      if (event.pointerType === "mouse") {
        void Promise.resolve(this.canvas.requestPointerLock()).catch(() => undefined);
      }
      return;
    }
    this.setButtons(event.buttons);
  };

  private readonly released = (event: PointerEvent): void => {
    if (this.captured) {
      this.setButtons(event.buttons);
    }
  };

  private readonly moved = (event: PointerEvent): void => {
    if (this.captured) {
      this.x += event.movementX;
      this.y += event.movementY;
      this.flushSoon();
    }
  };

  private readonly wheeled = (event: WheelEvent): void => {
    if (this.captured) {
      event.preventDefault();
      this.wheel += Math.sign(event.deltaY);
      this.flushSoon();
    }
  };

  /** The browser's bits are left, right, middle too. */
  private setButtons(buttons: number): void {
    this.buttons = buttons & (Button.Left | Button.Right | Button.Middle);
    this.flush();
  }

  /** Motion is sent once a frame: more would only queue. */
  private flushSoon(): void {
    if (!this.scheduled) {
      this.scheduled = true;
      requestAnimationFrame(() => this.flush());
    }
  }

  private flush(): void {
    this.scheduled = false;
    this.send(Math.round(this.x), Math.round(this.y), this.wheel, this.buttons);
    this.x = this.y = this.wheel = 0;
  }
}

function prevent(event: Event): void {
  event.preventDefault();
}
