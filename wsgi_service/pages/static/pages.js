// Comfort only: every page works without this.
for (const button of document.querySelectorAll("button.copy")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const command = button.closest("figure").querySelector("code").textContent;
    await navigator.clipboard.writeText(command);
    const label = button.firstChild;
    label.textContent = "Copied";
    setTimeout(() => { label.textContent = "Copy"; }, 2000);
  });
}
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (event.submitter && !event.submitter.formAction.includes("format=csv")) event.submitter.classList.add("busy");
  });
}
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button.busy")) button.classList.remove("busy");
});
