// Searches for schools while someone types. Without scripts, the form's button does the same.

const searchField = document.querySelector("[data-search-url]");
const queryOfChoice = document.querySelector("form[method=post] input[name=q]"); // sent with the chosen school
const list = document.getElementById("schools");
const DEBOUNCE_MS = 200;
let timer;
let lastRequest;

async function search() {
  lastRequest?.abort(); // an older response must not replace a newer one
  const { signal } = (lastRequest = new AbortController());
  const url = `${searchField.dataset.searchUrl}?${new URLSearchParams({ q: searchField.value })}`;
  const response = await fetch(url, { signal });
  if (!response.ok) return;
  const html = await response.text();
  const chosen = list.querySelector("input:checked")?.value; // also if it was chosen while we waited
  list.innerHTML = html;
  const sameSchool = chosen && list.querySelector(`input[value="${CSS.escape(chosen)}"]`);
  if (sameSchool) sameSchool.checked = true;
}

searchField.addEventListener("input", () => {
  queryOfChoice.value = searchField.value;
  clearTimeout(timer);
  timer = setTimeout(() => search().catch(() => {}), DEBOUNCE_MS);
});
