// Searches for schools while someone types. Without scripts, the form's button does the same.

const searchField = document.querySelector("[data-search-url]");
const queryOfChoice = document.querySelector("form[method=post] input[name=q]"); // sent with the chosen school
const list = document.getElementById("schools");
const DEBOUNCE_MS = 200;
let timer = 0;
let lastRequest = 0;

async function search() {
  const request = ++lastRequest;
  const chosen = list.querySelector("input:checked")?.value;
  const response = await fetch(`${searchField.dataset.searchUrl}?${new URLSearchParams({ q: searchField.value })}`);
  const html = await response.text();
  if (!response.ok || request !== lastRequest) return; // an older response that came late
  list.innerHTML = html;
  const sameSchool = chosen && list.querySelector(`input[value="${CSS.escape(chosen)}"]`);
  if (sameSchool) sameSchool.checked = true;
}

searchField.addEventListener("input", () => {
  queryOfChoice.value = searchField.value;
  clearTimeout(timer);
  timer = setTimeout(() => search().catch(() => {}), DEBOUNCE_MS);
});
