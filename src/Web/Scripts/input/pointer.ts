const enum Button {
  Left = 1,
  Right = 2,
  Middle = 4,
  Back = 8,
  Forward = 16,
}

const allButtons = Button.Left | Button.Right | Button.Middle | Button.Back | Button.Forward;

/** A finger that moves less than this far, in CSS pixels, taps. */
const tapDistance = 8;
const tapTime = 300;
const holdTime = 450;
const pixelsPerNotch = 24;

/** The events by which browsers go back and forward. */
const clicks = ["mousedown", "mouseup", "auxclick"] as const;

/**
 * Relative pointer. A mouse is captured by a click; Escape (the browser's own way) gives it back. On a touch screen the canvas is a
 * touchpad: one finger moves, a tap clicks, two fingers tap for the right button or scroll, and a finger that rests first drags.
 */
export class Pointer {
  private readonly fingers = new Map<number, { x: number; y: number }>();
  private buttons = 0;
  private x = 0;
  private y = 0;
  private wheel = 0;
  private scheduled = false;
  private owed = false;
  private travelled = 0;
  private mostFingers = 0;
  private touchedAt = 0;
  private holdTimer = 0;

  constructor(private readonly canvas: HTMLCanvasElement, private readonly send: (x: number, y: number, wheel: number, buttons: number) => boolean) {
    canvas.addEventListener("pointerdown", this.pressed);
    canvas.addEventListener("pointerup", this.released);
    canvas.addEventListener("pointercancel", this.released);
    canvas.addEventListener("pointermove", this.moved);
    canvas.addEventListener("wheel", this.wheeled, { passive: false });
    canvas.addEventListener("contextmenu", prevent);
    for (const type of clicks) {
      canvas.addEventListener(type, this.clicked);
    }
    document.addEventListener("pointerlockchange", this.letGo);
  }

  dispose(): void {
    window.clearTimeout(this.holdTimer);
    this.canvas.removeEventListener("pointerdown", this.pressed);
    this.canvas.removeEventListener("pointerup", this.released);
    this.canvas.removeEventListener("pointercancel", this.released);
    this.canvas.removeEventListener("pointermove", this.moved);
    this.canvas.removeEventListener("wheel", this.wheeled);
    this.canvas.removeEventListener("contextmenu", prevent);
    for (const type of clicks) {
      this.canvas.removeEventListener(type, this.clicked);
    }
    document.removeEventListener("pointerlockchange", this.letGo);
    if (this.captured) {
      document.exitPointerLock();
    }
  }

  /** The link is there again: the buttons are for the guest as they are now. */
  settle(): void {
    if (this.owed) {
      this.flush();
    }
  }

  private get captured(): boolean {
    return document.pointerLockElement === this.canvas;
  }

  private readonly pressed = (event: PointerEvent): void => {
    if (event.pointerType === "touch") {
      this.touched(event);
      return;
    }
    this.canvas.focus();
    if (this.captured) {
      this.setButtons(event.buttons);
    } else {
      void Promise.resolve(this.canvas.requestPointerLock()).catch(() => undefined);
    }
  };

  private readonly released = (event: PointerEvent): void => {
    if (this.fingers.delete(event.pointerId)) {
      this.lifted(event);
    } else if (this.captured) {
      this.setButtons(event.buttons);
    }
  };

  private readonly moved = (event: PointerEvent): void => {
    const finger = this.fingers.get(event.pointerId);
    if (finger) {
      this.slid(event, finger);
    } else if (this.captured) {
      // A press of a second button while one is down arrives as a move (Pointer Events 3, 4.1.1.1).
      if (event.buttons !== this.buttons) {
        this.setButtons(event.buttons);
      }
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

  /** While the guest has the mouse its side buttons turn no pages of the browser's. */
  private readonly clicked = (event: MouseEvent): void => {
    if (this.captured) {
      event.preventDefault();
    }
  };

  /** A button that is released after the capture has ended is not reported. */
  private readonly letGo = (): void => {
    if (!this.captured && this.buttons !== 0) {
      this.setButtons(0);
    }
  };

  private touched(event: PointerEvent): void {
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.mostFingers = Math.max(this.mostFingers, this.fingers.size);
    window.clearTimeout(this.holdTimer);
    if (this.fingers.size === 1) {
      // When it happened, not when a busy page gets round to it: a quick tap stays one.
      this.touchedAt = event.timeStamp;
      this.travelled = 0;
      this.holdTimer = window.setTimeout(() => {
        if (this.travelled < tapDistance) {
          this.setButtons(Button.Left);
        }
      }, holdTime);
    }
  }

  private slid(event: PointerEvent, finger: { x: number; y: number }): void {
    const x = event.clientX - finger.x;
    const y = event.clientY - finger.y;
    finger.x = event.clientX;
    finger.y = event.clientY;
    this.travelled += Math.hypot(x, y);
    if (this.fingers.size === 1) {
      this.x += x;
      this.y += y;
    } else {
      this.wheel -= y / pixelsPerNotch / this.fingers.size;
    }
    this.flushSoon();
  }

  private lifted(event: PointerEvent): void {
    window.clearTimeout(this.holdTimer);
    if (this.fingers.size > 0) {
      return;
    }
    const tapped = event.type === "pointerup" && this.travelled < tapDistance && event.timeStamp - this.touchedAt < tapTime;
    if (tapped) {
      this.setButtons(this.mostFingers > 1 ? Button.Right : Button.Left);
    }
    this.setButtons(0);
    this.mostFingers = 0;
  }

  /** The browser's bits (Pointer Events 3, 4.1.1) are the guest's. */
  private setButtons(buttons: number): void {
    this.buttons = buttons & allButtons;
    this.flush();
  }

  /** Motion is sent once a frame: more would only queue. */
  private flushSoon(): void {
    if (!this.scheduled) {
      this.scheduled = true;
      requestAnimationFrame(this.flush);
    }
  }

  /** Whole steps go; what is left of a step waits for the next. */
  private readonly flush = (): void => {
    this.scheduled = false;
    const x = Math.trunc(this.x);
    const y = Math.trunc(this.y);
    const wheel = Math.trunc(this.wheel);
    this.owed = !this.send(x, y, wheel, this.buttons);
    this.x -= x;
    this.y -= y;
    this.wheel -= wheel;
  };
}

function prevent(event: Event): void {
  event.preventDefault();
}
