let described = 0;

/** Ties what is said of a field to its control, for those who do not see where it stands; the first faulty field of a page gets the focus. */
export function markFaults(field: HTMLElement): void {
  const control = field.querySelector<HTMLElement>("input, textarea, select");
  if (!control) {
    return;
  }
  const said = [...field.querySelectorAll(":scope > .hint, :scope > .field-error")];
  said.forEach(text => text.id ||= `said-${++described}`);
  const faulty = field.classList.contains("invalid");
  control.setAttribute("aria-invalid", String(faulty));
  control.setAttribute("aria-describedby", said.map(text => text.id).join(" "));
  if (faulty && document.querySelector(".field.invalid") === field) {
    control.focus();
  }
}
