/** The Blazor component that a script works for. */
export interface Component {
  invokeMethodAsync(name: string, ...args: unknown[]): Promise<unknown>;
}

/** Blazor's own marks of a page whose connection is away. */
const lost = ["components-reconnect-show", "components-reconnect-retrying", "components-reconnect-paused", "components-reconnect-failed", "components-reconnect-rejected"];

/**
 * Tells a component something. While the page's own connection is away there is nobody to tell, and Blazor would break a promise that nobody
 * can catch. What is still so is told again when the page is back (see whenPageReturns).
 */
export async function tell(component: Component, method: string, ...args: unknown[]): Promise<void> {
  if (!pageIsAway()) {
    try {
      await component.invokeMethodAsync(method, ...args);
    } catch {
      // The component is gone, or the connection in this moment.
    }
  }
}

/** Calls back each time the page's own connection has come back. Returns how to end that. */
export function whenPageReturns(returned: () => void): () => void {
  const notice = document.getElementById("components-reconnect-modal");
  let away = pageIsAway();
  const observer = new MutationObserver(() => {
    const was = away;
    away = pageIsAway();
    if (was && !away) {
      returned();
    }
  });
  if (notice) {
    observer.observe(notice, { attributes: true, attributeFilter: ["class"] });
  }
  return () => observer.disconnect();
}

function pageIsAway(): boolean {
  const notice = document.getElementById("components-reconnect-modal");
  return notice !== null && lost.some(mark => notice.classList.contains(mark));
}
