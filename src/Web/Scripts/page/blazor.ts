interface BlazorRuntime {
  start(options: unknown): Promise<void>;
  navigateTo(url: string): void;
}

declare const Blazor: BlazorRuntime;

const shortestPause = 300;
const longestPause = 5000;
const manyRetries = 10_000;
/** After this long without a word of the service, which says something every five seconds, the page says that the connection is lost. */
const silence = 15_000;

/** Milliseconds between looks whether the session of a page that lost its connection has ended. */
const sessionCheck = 1000;

/** Starts the pages' connection; it is tried again for as long as the page is open. */
export function startBlazor(): void {
  reloadWhenForgotten();
  leaveWhenSignedOut();
  void Blazor.start({
    circuit: {
      configureSignalR: (connection: { withServerTimeout(milliseconds: number): unknown }) => connection.withServerTimeout(silence),
      reconnectionOptions: {
        maxRetries: manyRetries,
        retryIntervalMilliseconds: (attempt: number) => Math.min(shortestPause * 2 ** Math.min(attempt, 6), longestPause),
      },
    },
  });
}

/** A service that was restarted does not know this page any more: a fresh one takes its place. */
function reloadWhenForgotten(): void {
  const notice = document.getElementById("components-reconnect-modal");
  if (notice) {
    new MutationObserver(() => {
      if (notice.classList.contains("components-reconnect-rejected")) {
        location.reload();
      }
    }).observe(notice, { attributes: true, attributeFilter: ["class"] });
  }
}

/** A page whose session has ended has nothing to come back to: loaded anew it asks to sign in. */
function leaveWhenSignedOut(): void {
  const notice = document.getElementById("components-reconnect-modal");
  let asking = false;
  const ask = async (): Promise<void> => {
    asking = true;
    while (notice!.classList.contains("components-reconnect-show")) {
      const answer = await fetch("/api/v1/session").catch(() => null);
      if (answer?.status === 401) {
        location.reload();
        return;
      }
      await new Promise(resolve => setTimeout(resolve, sessionCheck));
    }
    asking = false;
  };
  if (notice) {
    new MutationObserver(() => {
      if (!asking) {
        void ask();
      }
    }).observe(notice, { attributes: true, attributeFilter: ["class"] });
  }
}

export function navigate(path: string): void {
  Blazor.navigateTo(path);
}
