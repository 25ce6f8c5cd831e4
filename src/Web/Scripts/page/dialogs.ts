let opener: HTMLElement | null = null;

export function showDialog(dialog: HTMLDialogElement): void {
  opener = document.activeElement instanceof HTMLElement ? document.activeElement : null;
  dialog.showModal();
}

/** Gives the focus back to what opened the dialog. */
export function dialogClosed(): void {
  if (opener?.isConnected && !document.querySelector("dialog[open]")) {
    opener.focus();
  }
  opener = null;
}
