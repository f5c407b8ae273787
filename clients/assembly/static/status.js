// Fetches the status every two seconds while the page is visible. Without scripts, reloading the page does the same.

const section = document.querySelector("[data-status-url]");
const INTERVAL_MS = 2000;
let shown = "";
let requests = new AbortController(); // aborted when a form is sent: a reload would take its place, as of signing out

const chip = () => document.getElementById("connection-status").textContent;

async function refresh() {
  if (document.hidden || requests.signal.aborted || section.contains(document.activeElement)) return;
  const response = await fetch(section.dataset.statusUrl, { signal: requests.signal });
  if (response.status === 401) location.reload();
  if (!response.ok) return;
  const text = await response.text();
  const content = text.replaceAll(/value="[^"]*"/g, ""); // the forms' tokens differ each time
  if (content !== shown && !section.contains(document.activeElement)) {
    const before = chip();
    section.innerHTML = text;
    if (chip() !== before) document.getElementById("status-news").textContent = chip(); // read aloud
    shown = content;
  }
}

document.addEventListener("submit", () => requests.abort());
window.addEventListener("pageshow", () => { requests = new AbortController(); }); // also on the way back to this page
setInterval(() => refresh().catch(() => {}), INTERVAL_MS);
