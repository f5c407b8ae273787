/*
 * A list of schools while someone types, as the WAI-ARIA combobox pattern describes it (editable, list
 * autocomplete, nothing selected until chosen). Without this file the Search button does the same.
 *
 *   <div class="search-row"><div class="combobox" data-school-search="<address of the JSON>"><input id="q" …></div>
 *     <button>Search</button></div>
 *
 * Choosing a school goes straight on to the next step with it; one that cannot register, to the page that says why.
 */
"use strict";

(() => {
  const DEBOUNCE_MS = 150; // milliseconds without a key press before the server is asked
  const MIN_LETTERS = 2; // before anything is searched for
  const SETTLE_MS = 300; // milliseconds before a new list takes a click, which may be meant for what the list has just moved

  function upgrade(box) {
    const input = box.querySelector("input");
    const list = Object.assign(document.createElement("ul"), { id: `${input.id}-list`, hidden: true });
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Schools");
    const status = Object.assign(document.createElement("div"), { className: "unseen" });
    status.setAttribute("role", "status");
    const row = box.parentElement;
    row.append(list);
    row.after(status);

    const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id };
    for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);

    let timer, lastRequest, settleTimer, active = -1;
    const options = () => [...list.children];

    function activate(index) {
      active = index;
      options().forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
      const option = options()[index];
      if (!option) return input.removeAttribute("aria-activedescendant");
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    }

    function open(isOpen) {
      list.hidden = !isOpen;
      input.setAttribute("aria-expanded", String(isOpen));
      activate(-1);
    }

    function close() {
      clearTimeout(timer);
      lastRequest?.abort();
      open(false);
    }

    function choose(option) {
      const parameters = new URLSearchParams(new FormData(input.form));
      parameters.set("school", option.dataset.school);
      const destination = new URL(input.form.action);
      destination.search = parameters;
      destination.hash = `school-${option.dataset.school}`;
      close();
      if (option.dataset.canRegister === "true") {
        history.replaceState(null, "", destination); // the way back leads to the results, with this school selected
        parameters.set("choose", "1");
        destination.search = parameters;
        destination.hash = "";
      }
      location.assign(destination);
    }

    function suggestion(school, index) {
      const option = Object.assign(document.createElement("li"), { id: `${input.id}-option-${index}`, textContent: school.name });
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      option.dataset.school = school.id;
      option.dataset.canRegister = school.can_register;
      const numbers = [school.urn && `URN ${school.urn}`, school.dfe_number && `DfE number ${school.dfe_number}`];
      for (const details of [[school.place], [...numbers, school.phase, school.status]]) {
        option.append(Object.assign(document.createElement("small"), { textContent: details.filter(Boolean).join(" · ") }));
      }
      return option;
    }

    function show({ results, more }) {
      list.replaceChildren(...results.map(suggestion));
      open(results.length > 0);
      clearTimeout(settleTimer);
      list.removeAttribute("data-settled");
      settleTimer = setTimeout(() => list.setAttribute("data-settled", ""), SETTLE_MS);
      if (results.length) bringIntoView();
      const count = results.length === 1 ? "One school" : `${more ? "More than " : ""}${results.length} schools`;
      status.textContent = results.length ? `${count}. Use the arrow keys to choose.` : "No school found so far.";
    }

    /* On a phone the keyboard leaves half of the page: the field goes to the top, and its list has what is below. */
    function bringIntoView() {
      const bottom = window.visualViewport?.height ?? window.innerHeight;
      if (list.getBoundingClientRect().bottom > bottom) row.scrollIntoView({ block: "start" });
    }

    async function search() {
      lastRequest?.abort(); // an older response must not replace a newer one
      const controller = (lastRequest = new AbortController());
      try {
        const url = `${box.dataset.schoolSearch}?${new URLSearchParams({ q: input.value })}`;
        const response = await fetch(url, { signal: controller.signal, headers: { Accept: "application/json" } });
        if (response.ok) show(await response.json());
      } catch {
        // aborted or offline: the Search button still works
      }
    }

    input.addEventListener("input", () => {
      clearTimeout(timer);
      lastRequest?.abort();
      if (input.value.trim().length < MIN_LETTERS) return close();
      timer = setTimeout(search, DEBOUNCE_MS);
    });

    input.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && !list.hidden) {
        const stops = options().length + 1; // the input itself is one of them
        activate(((active + 1 + step + stops) % stops) - 1);
      } else if (step === 1 && input.value.trim().length >= MIN_LETTERS) {
        search();
      } else if (event.key === "Enter" && active >= 0) {
        choose(options()[active]);
      } else if (event.key === "Escape" && !list.hidden) {
        close();
      } else {
        return;
      }
      event.preventDefault();
    });

    list.addEventListener("mousedown", (event) => event.preventDefault()); // the input keeps the focus
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option && list.hasAttribute("data-settled")) choose(option);
    });
    input.addEventListener("blur", close);
    input.form.addEventListener("submit", close);
  }

  document.querySelectorAll("[data-school-search]").forEach(upgrade);
})();
