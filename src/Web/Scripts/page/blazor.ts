interface BlazorRuntime {
  start(options: unknown): Promise<void>;
  navigateTo(url: string): void;
}

declare const Blazor: BlazorRuntime;

const shortestPause = 300;
const longestPause = 5000;
const manyRetries = 10_000;

/** Starts the pages' connection; it is tried again for as long as the page is open. */
export function startBlazor(): void {
  void Blazor.start({
    circuit: {
      reconnectionOptions: {
        maxRetries: manyRetries,
        retryIntervalMilliseconds: (attempt: number) => Math.min(shortestPause * 2 ** Math.min(attempt, 6), longestPause),
      },
    },
  });
}

export function navigate(path: string): void {
  Blazor.navigateTo(path);
}
