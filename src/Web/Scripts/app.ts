import { startBlazor } from "./page/blazor";
import { copyText } from "./page/copy";
import { dialogClosed, showDialog } from "./page/dialogs";
import { markFaults } from "./page/faults";
import { KeepPlace, keepWaysBack } from "./page/keep-place";
import { LoadMore } from "./page/load-more";
import { placeMenus } from "./page/menus";
import { MetricChart } from "./page/metric-chart";
import { PartCheck } from "./page/part-check";
import { VmPreview } from "./page/preview";
import { handleShortcuts, showShortcuts } from "./page/shortcuts";
import { handleSignIn, signOut } from "./page/session";
import { TabStrip } from "./page/tab-strip";
import { toggleTheme } from "./page/theme";

declare global {
  interface Window {
    /** What components call. */
    webvm: { showDialog(dialog: HTMLDialogElement): void; dialogClosed(): void; markFaults(field: HTMLElement): void; interactive(): void };
  }
}

window.webvm = {
  showDialog,
  dialogClosed,
  markFaults,
  // Styles and tests may want to know that the page answers now.
  interactive: () => void (document.documentElement.dataset.interactive = "true"),
};
customElements.define("vm-preview", VmPreview);
customElements.define("metric-chart", MetricChart);
customElements.define("load-more", LoadMore);
customElements.define("tab-strip", TabStrip);
customElements.define("keep-place", KeepPlace);
customElements.define("part-check", PartCheck);

// One listener for the whole document: pages come and go.
const actions: Record<string, () => void> = { theme: toggleTheme, "sign-out": () => void signOut(), shortcuts: showShortcuts };
document.addEventListener("click", event => {
  const target = event.target as Element;
  const action = target.closest<HTMLElement>("[data-action]")?.dataset.action;
  if (action) {
    actions[action]?.();
  }
  const copy = target.closest<HTMLElement>("[data-copy]");
  if (copy) {
    void copyText(copy);
  }
});

placeMenus();
keepWaysBack();
handleShortcuts();
handleSignIn();
startBlazor();
