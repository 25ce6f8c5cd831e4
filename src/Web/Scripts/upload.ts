import { Component, tell } from "./page/component";

const chunkBytes = 8 * 2 ** 20;
const longestPause = 10_000;
const running = new Map<string, AbortController>();

export function describe(input: HTMLInputElement): { name: string; size: number } | null {
  const file = input.files?.[0];
  return file ? { name: file.name, size: file.size } : null;
}

/** Sends a file in pieces from where the service has it, and goes on by itself when the connection breaks. */
export function start(input: HTMLInputElement, image: string, page: Component): void {
  const file = input.files?.[0];
  if (file) {
    running.get(image)?.abort();
    const control = new AbortController();
    running.set(image, control);
    void send(file, image, page, control.signal).then(failure => {
      if (running.get(image) === control) {
        running.delete(image);
        void tell(page, "Ended", image, failure);
      }
    });
  }
}

export function pause(image: string): void {
  running.get(image)?.abort();
  running.delete(image);
}

/** Null when all is sent; else why not. */
async function send(file: File, image: string, page: Component, signal: AbortSignal): Promise<string | null> {
  const address = `/api/v1/images/${image}/content`;
  const began = performance.now();
  let offset = -1;
  let first = 0;
  let wait = 500;
  while (!signal.aborted) {
    try {
      if (offset < 0) {
        const head = await fetch(address, { method: "HEAD", signal });
        if (!head.ok) {
          return `The service answered ${head.status}.`;
        }
        first = offset = Number(head.headers.get("Upload-Offset"));
      }
      if (offset >= file.size) {
        return null;
      }
      const response = await fetch(address, {
        method: "PATCH",
        headers: { "Content-Type": "application/octet-stream", "Upload-Offset": String(offset) },
        body: file.slice(offset, offset + chunkBytes),
        signal,
      });
      if (response.status === 409) {
        offset = -1;
      } else if (response.ok) {
        offset = Number(response.headers.get("Upload-Offset"));
        wait = 500;
        void tell(page, "Sent", image, offset, (offset - first) / ((performance.now() - began) / 1000));
        continue;
      } else if (response.status < 500) {
        const problem = await response.json().catch(() => null) as { detail?: string } | null;
        return problem?.detail ?? `The service answered ${response.status}.`;
      }
    } catch {
      offset = -1;
    }
    await new Promise(resolve => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, longestPause);
  }
  return "Paused";
}
