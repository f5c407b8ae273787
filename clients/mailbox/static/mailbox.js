// Notices new mail, and fits the frame to its message. Without it the page reloads itself every ten seconds.
"use strict";

const { news, state } = document.body.dataset;
const notice = document.querySelector(".news");

async function look() {
  try {
    const answer = await fetch(news);
    if ((await answer.json()).state !== state) arrived();
  } catch {
    // stopped, or starting again: look once more later
  }
}

function arrived() {
  if (document.body.classList.contains("choosing")) {
    location.reload();
  } else if (notice.hidden) {
    notice.hidden = false;
    document.title = `New mail · ${document.title}`;
  }
}

setInterval(look, 2000);

const frame = document.querySelector("iframe");

function fit() {
  const content = frame.contentDocument?.documentElement;
  if (content) frame.style.height = `${content.scrollHeight}px`;
}

if (frame) {
  frame.addEventListener("load", fit);
  addEventListener("resize", fit);
  fit();
}
