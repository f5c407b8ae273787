// Shows new mail, and fits the frame to its message. Without it the page reloads itself every ten seconds.
"use strict";

const { stateUrl } = document.body.dataset;
const notice = document.querySelector(".news");
const frame = document.querySelector("iframe");
let { state } = document.body.dataset;

async function checkForNewMail() {
  try {
    const current = await (await fetch(stateUrl)).json();
    if (current.state === state) return;
    if (document.body.classList.contains("choosing")) await showNewMail();
    else announce();
  } catch {
    // the mailbox is stopped or restarting: the next check may succeed
  }
}

// Whether a link is held down: the click is lost if the page moves under it before it is released.
const isPressed = () => [document, frame?.contentDocument].some((shown) => shown?.querySelector("a:active"));

// Nothing is reloaded, which would take the place of a message that is being opened.
async function showNewMail() {
  const text = await (await fetch(location.href)).text();
  if (isPressed()) return;
  const page = new DOMParser().parseFromString(text, "text/html");
  const list = document.querySelector("nav ul");
  const newList = page.querySelector("nav ul");
  if (list && newList) updateList(list, newList);
  else document.querySelector("main").replaceWith(page.querySelector("main"));
  state = page.body.dataset.state;
}

// Items that stay are left where they are, and so keep the focus.
function updateList(list, newList) {
  const address = (item) => item.querySelector("a").getAttribute("href");
  const newItems = [...newList.children];
  const newAddresses = new Set(newItems.map(address));
  for (const item of [...list.children]) if (!newAddresses.has(address(item))) item.remove();
  const kept = new Map([...list.children].map((item) => [address(item), item]));
  let next = list.firstElementChild;
  for (const item of newItems) {
    const same = kept.get(address(item));
    if (same) next = same.nextElementSibling;
    else list.insertBefore(item, next);
  }
}

function announce() {
  if (!notice.hidden || isPressed()) return;
  notice.hidden = false;
  document.title = `New mail · ${document.title}`;
}

setInterval(checkForNewMail, 2000);

function fitFrame() {
  const content = frame.contentDocument?.documentElement;
  if (content) frame.style.height = `${content.scrollHeight}px`;
}

if (frame) {
  frame.addEventListener("load", fitFrame);
  addEventListener("resize", fitFrame);
  fitFrame();
}
