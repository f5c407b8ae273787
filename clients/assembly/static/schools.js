// Narrows the list of schools while someone types. Without it, the form's own button does the same.

const typed = document.querySelector("[data-narrows]");
const kept = document.querySelector("form[method=post] input[name=q]"); // what was typed, sent with the choice
const list = document.getElementById("schools");
const PAUSE_MS = 200;
let timer = 0;
let newest = 0;

async function narrow() {
  const mine = ++newest;
  const chosen = list.querySelector("input:checked")?.value;
  const response = await fetch(`${typed.dataset.narrows}?${new URLSearchParams({ q: typed.value })}`);
  if (!response.ok || mine !== newest) return; // an older response that came late
  list.innerHTML = await response.text();
  const again = chosen && list.querySelector(`input[value="${CSS.escape(chosen)}"]`);
  if (again) again.checked = true;
}

typed.addEventListener("input", () => {
  kept.value = typed.value;
  clearTimeout(timer);
  timer = setTimeout(() => narrow().catch(() => {}), PAUSE_MS);
});
