import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { Link } from "./connection";
import { LinkView } from "./link-view";

const encoder = new TextEncoder();
const scrollbackLines = 10_000;
const replayedBytes = 256 * 1024;

/** A terminal on a VM's serial port: the log's end first, then what comes, without loss or repetition across reconnects. */
export class SerialTerminal {
  private readonly terminal: Terminal;
  private readonly fit = new FitAddon();
  private readonly link: Link;
  private readonly view: LinkView;
  private readonly resize: ResizeObserver;
  /** Offset behind the last byte shown; negative: that many from the end. */
  private offset = -replayedBytes;
  /** Where the output that the terminal reads now begins in the log. */
  private reading = 0;
  /** The terminal has just read a question, and what it says until the end of this task is its answer. */
  private asked = false;

  constructor(element: HTMLElement, vm: string, private readonly readOnly: boolean) {
    this.view = new LinkView(element.closest(".serial"), !readOnly);
    this.terminal = new Terminal({
      scrollback: scrollbackLines,
      disableStdin: readOnly,
      fontFamily: "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace",
      fontSize: 14,
      theme: { background: "#0b0f14", foreground: "#d6dde6", cursor: "#7cc4ff" },
      // A guest's output is shown, never obeyed: no links, no clipboard, no window operations.
      linkHandler: { activate: () => undefined },
      windowOptions: {},
      allowProposedApi: false,
    });
    this.terminal.loadAddon(this.fit);
    this.terminal.open(element);
    this.resize = new ResizeObserver(() => this.fit.fit());
    this.resize.observe(element);
    this.link = new Link("/hubs/console", async hub => {
      await hub.invoke("OpenSerial", vm, this.offset);
      if (this.focused) {
        await hub.send("AttendSerial", true);
      }
    }, this.view.show);
    this.link.on("serial", (offset: number, data: Uint8Array) => {
      // After a reconnect the log may begin later than where we were: what is gone is gone, nothing is shown twice.
      const skip = this.offset >= 0 ? Math.max(0, this.offset - offset) : 0;
      if (skip < data.length) {
        // It is read later, in this order.
        this.terminal.write("", () => (this.reading = offset + skip));
        this.terminal.write(data.subarray(skip));
      }
      this.offset = offset + data.length;
    });
    this.markQuestions();
    this.terminal.onData(text => this.say(encoder.encode(text)));
    this.terminal.onBinary(text => this.write(Uint8Array.from(text, c => c.charCodeAt(0))));
    this.terminal.textarea!.addEventListener("focus", this.attend);
    this.terminal.textarea!.addEventListener("blur", this.attend);
    void this.link.start();
  }

  focus(): void {
    this.terminal.focus();
  }

  /** What is on the terminal's screen and in its scrollback, for tests and for copying. */
  text(): string {
    const buffer = this.terminal.buffer.active;
    const lines: string[] = [];
    for (let i = 0; i < buffer.length; i++) {
      lines.push(buffer.getLine(i)?.translateToString(true) ?? "");
    }
    return lines.join("\n").trimEnd();
  }

  private get focused(): boolean {
    return !this.readOnly && document.activeElement === this.terminal.textarea;
  }

  private readonly attend = (): void => this.link.send("AttendSerial", this.focused);

  /**
   * What a person typed goes to the guest. What the terminal says by itself is an answer to the guest's output, which may be years old, or
   * meant for another viewer's terminal: the service takes it from the terminal that had the focus when the output came.
   */
  private say(data: Uint8Array): void {
    if (!this.asked) {
      this.write(data);
    } else if (this.focused) {
      this.link.input("AnswerSerial", data, this.reading);
    }
  }

  private write(data: Uint8Array): void {
    if (this.link.input("WriteSerial", data)) {
      this.view.accept();
    } else {
      this.view.refuse();
    }
  }

  /** Sees all sequences that xterm answers. Its own handlers come after these, in the same task. */
  private markQuestions(): void {
    const mark = (): boolean => {
      this.asked = true;
      queueMicrotask(() => (this.asked = false));
      return false;
    };
    const parser = this.terminal.parser;
    // DSR, DA1 and DA2, DECRQM, reports of the window; setting mode 1004 reports the focus at once.
    for (const sequence of [
      { final: "n" }, { prefix: "?", final: "n" }, { final: "c" }, { prefix: ">", final: "c" }, { intermediates: "$", final: "p" },
      { prefix: "?", intermediates: "$", final: "p" }, { final: "t" }, { prefix: ">", final: "q" }, { prefix: "?", final: "h" },
    ]) {
      parser.registerCsiHandler(sequence, mark);
    }
    // DECRQSS.
    parser.registerDcsHandler({ intermediates: "$", final: "q" }, mark);
    // Colours: of the palette, of text, background and cursor.
    for (const command of [4, 10, 11, 12]) {
      parser.registerOscHandler(command, mark);
    }
  }

  async dispose(): Promise<void> {
    this.resize.disconnect();
    this.view.dispose();
    await this.link.stop();
    this.terminal.dispose();
  }
}

/** For the page. */
export function openSerial(element: HTMLElement, vm: string, readOnly: boolean): SerialTerminal {
  const terminal = new SerialTerminal(element, vm, readOnly);
  (element as unknown as { terminal: SerialTerminal }).terminal = terminal;
  return terminal;
}
