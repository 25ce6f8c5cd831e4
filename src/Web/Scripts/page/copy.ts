const shown = 1500;

/** Copies what a button names, and says so on the button. */
export async function copyText(button: HTMLElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(button.dataset.copy ?? "");
  } catch {
    // Without a secure context there is no clipboard API; the old way still works.
    const area = document.createElement("textarea");
    area.value = button.dataset.copy ?? "";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.classList.add("copied");
  window.setTimeout(() => button.classList.remove("copied"), shown);
}
