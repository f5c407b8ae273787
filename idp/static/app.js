/*
 * What our pages do beyond HTML. Every page works without this file; buttons that need it are `hidden` until here.
 *
 *   [data-reveal]          a password that can be shown
 *   [data-strength]        a password that is being chosen: asks the address, while it is typed, whether it will be accepted
 *   [data-copy="id"]       copies the text of that element
 *   [data-print]           prints the page
 *   [data-save="id"]       saves the credentials or list items in that element as a text file, named data-save-as, without asking
 *                          the server
 *   [data-count="name"]    says how many areas are shared: those ticked among the boxes of that name, and data-more besides
 *   [data-without-script]  what is said where a script does not say it better
 *   form                   is sent once, however often it is clicked
 *   [data-error-summary]   is read out first
 *   [data-back-to]         the page is the response to a form and shows a secret: in the history it has that address, so
 *                          that going back to it or reloading it never asks whether to send the form again
 *   [data-poll-url]        asks every 3 s whether something has happened elsewhere, and moves on when it has
 */
"use strict";

const announce = (() => {
  const region = document.createElement("div");
  region.className = "unseen";
  region.setAttribute("role", "status");
  document.body.append(region);
  return (text) => { region.textContent = text; };
})();

function revealPasswords() {
  for (const box of document.querySelectorAll("[data-reveal]")) {
    const input = box.querySelector("input");
    const button = box.querySelector("button");
    const show = (shown) => {
      input.type = shown ? "text" : "password";
      button.setAttribute("aria-pressed", String(shown));
      button.firstChild.data = shown ? "Hide" : "Show";
    };
    button.addEventListener("click", () => show(input.type === "password"));
    // A browser may remember what was sent in a text field; it never keeps a password.
    input.form?.addEventListener("submit", () => show(false));
    button.hidden = false;
  }
}

/* What the server says of a password when the form is sent, said while it is typed. It changes only where there is
   another sentence, so that nothing is read out twice, and its place never shrinks: a button below it must not move away
   from under a finger. */
function showStrength() {
  const DEBOUNCE_MS = 400; // milliseconds without a key press before the server is asked
  for (const input of document.querySelectorAll("[data-strength]")) {
    const sentence = document.getElementById(`${input.id}-strength`);
    let timer, lastRequest;
    const show = (message, state) => {
      sentence.style.minHeight = `${sentence.getBoundingClientRect().height}px`;
      if (sentence.textContent !== message) sentence.textContent = message;
      sentence.dataset.state = state;
    };
    const request = async () => {
      const controller = (lastRequest = new AbortController());
      const body = new URLSearchParams({ csrf_token: input.form.elements.csrf_token.value, subject: input.dataset.subject, password: input.value });
      try {
        const response = await fetch(input.dataset.strength, { method: "POST", body, signal: controller.signal, headers: { Accept: "application/json" } });
        if (!response.ok) throw new Error(String(response.status));
        const { is_accepted, message } = await response.json();
        show(message, is_accepted ? "accepted" : "refused");
      } catch (error) {
        if (error.name !== "AbortError") show("", ""); // offline, or rate limited: sending the form will show the sentence
      }
    };
    input.addEventListener("input", () => {
      clearTimeout(timer);
      lastRequest?.abort();
      if (input.value) timer = setTimeout(request, DEBOUNCE_MS);
      else show("", "");
    });
    sentence.hidden = false;
  }
}

async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // not on https, or not allowed: the old way still works
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  }
}

function offerCopying() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    const label = button.innerHTML;
    button.addEventListener("click", async () => {
      const element = document.getElementById(button.dataset.copy);
      const done = await copy(element.textContent.trim(), element);
      button.textContent = done ? "Copied" : "Selected: press Ctrl+C";
      announce(button.textContent);
      setTimeout(() => { button.innerHTML = label; }, 3000);
    });
    button.hidden = false;
  }
}

function offerPrinting() {
  for (const button of document.querySelectorAll("[data-print]")) {
    button.addEventListener("click", () => print());
    button.hidden = false;
  }
}

function offerSaving() {
  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => {
      const lines = [document.title, location.origin, ""];
      const saved = document.getElementById(button.dataset.save);
      for (const item of saved.querySelectorAll("li")) lines.push(item.textContent.trim());
      for (const credential of saved.querySelectorAll(".credential")) {
        const part = (name) => credential.querySelector(`.credential-${name}`).textContent.trim();
        lines.push(`${part("label")}: ${part("value")}`);
      }
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\r\n"), "\r\n"], { type: "text/plain" }));
      link.download = button.dataset.saveAs;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      announce("Saved");
    });
    button.hidden = false;
  }
}

function countAreas() {
  for (const output of document.querySelectorAll("[data-count]")) {
    const boxes = [...document.getElementsByName(output.dataset.count)];
    const count = () => {
      const ticked = boxes.filter((box) => box.checked);
      const areas = Number(output.dataset.more) + ticked.length;
      const protectedAreas = Number(output.dataset.moreProtected) + ticked.filter((box) => "protected" in box.dataset).length;
      const text = `${areas} ${areas === 1 ? "area" : "areas"}`;
      output.textContent = protectedAreas ? `${text}, ${protectedAreas} specially protected` : text;
    };
    for (const box of boxes) box.addEventListener("change", count);
    window.addEventListener("pageshow", count); // going back fills the boxes in again
    count();
  }
  for (const text of document.querySelectorAll("[data-without-script]")) text.hidden = true;
}

function sendFormsOnce() {
  const RESEND_AFTER_MS = 8000; // a response that is a download leaves the page and its form as they are
  const allowSending = (form) => {
    delete form.dataset.sent;
    form.querySelector("[aria-disabled=true]")?.removeAttribute("aria-disabled");
  };
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-disabled", "true"); // `disabled` would leave its name out of the form
    setTimeout(() => allowSending(form), RESEND_AFTER_MS);
  });
  addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(allowSending));
}

function loadPageItself() { // not the stored response to a form, which would be the same again and again
  const address = new URL(location.href);
  address.searchParams.delete("_answer");
  address.hash = "";
  location.replace(address);
}

function poll(element) {
  const INTERVAL_MS = 3000, MAX_INTERVAL_MS = 30000; // the second, while the server does not respond
  let wait = INTERVAL_MS, isRequesting = false;
  const moveOn = (next) => {
    const destination = new URL(next || location.href, location.href);
    if (next && destination.origin === location.origin) location.assign(destination);
    else loadPageItself();
  };
  const request = async () => {
    if (document.hidden || isRequesting) return; // asked again as soon as someone looks
    isRequesting = true;
    try {
      const response = await fetch(element.dataset.pollUrl, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (!response.ok) throw new Error(String(response.status));
      const { done, next } = await response.json();
      if (done) return moveOn(next);
      wait = INTERVAL_MS;
    } catch {
      wait = Math.min(wait * 2, MAX_INTERVAL_MS);
    } finally {
      isRequesting = false;
    }
    timer = setTimeout(request, wait);
  };
  let timer = setTimeout(request, wait);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) request();
  });
}

revealPasswords();
showStrength();
offerCopying();
offerPrinting();
offerSaving();
countAreas();
sendFormsOnce();
document.querySelectorAll("[data-poll-url]").forEach(poll);
document.querySelectorAll("[data-back-to]").forEach((page) => history.replaceState(null, "", page.dataset.backTo));
document.querySelector("[data-error-summary]")?.focus();
