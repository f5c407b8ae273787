/*
 * A list of schools while somebody types, as the WAI-ARIA combobox pattern describes it (editable, list
 * autocomplete, nothing selected until chosen). Without this file the Search button does the same.
 *
 *   <div class="search-row"><div class="combobox" data-school-search="<address of the JSON>"><input id="q" …></div>
 *     <button>Search</button></div>
 *
 * Choosing a school goes straight on to the next step with it; one that cannot register, to the page that says why.
 */
"use strict";

(() => {
  const PAUSE = 150; // ms without a key before we ask
  const LEAST = 2; // letters
  const SETTLED = 300; // ms a list has to have stood still before it takes a click: the click may be meant for what it moved

  function upgrade(box) {
    const input = box.querySelector("input");
    const list = Object.assign(document.createElement("ul"), { id: `${input.id}-list`, hidden: true });
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Schools");
    const voice = Object.assign(document.createElement("div"), { className: "unseen" });
    voice.setAttribute("role", "status");
    const row = box.parentElement;
    row.append(list);
    row.after(voice);

    const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id };
    for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);

    let timer, asking, settling, active = -1;
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
      asking?.abort();
      open(false);
    }

    function choose(option) {
      const asked = new URLSearchParams(new FormData(input.form));
      asked.set("school", option.dataset.school);
      const there = new URL(input.form.action);
      there.search = asked;
      there.hash = `school-${option.dataset.school}`;
      close();
      if (option.dataset.canRegister === "true") {
        history.replaceState(null, "", there); // the way back leads to the results, with this school selected
        asked.set("choose", "1");
        there.search = asked;
        there.hash = "";
      }
      location.assign(there);
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
      clearTimeout(settling);
      list.removeAttribute("data-settled");
      settling = setTimeout(() => list.setAttribute("data-settled", ""), SETTLED);
      if (results.length) bringIntoView();
      const count = results.length === 1 ? "One school" : `${more ? "More than " : ""}${results.length} schools`;
      voice.textContent = results.length ? `${count}. Use the arrow keys to choose.` : "No school found so far.";
    }

    /* On a phone the keyboard leaves half of the page: the field goes to the top, and its list has what is below. */
    function bringIntoView() {
      const bottom = window.visualViewport?.height ?? window.innerHeight;
      if (list.getBoundingClientRect().bottom > bottom) row.scrollIntoView({ block: "start" });
    }

    async function ask() {
      asking?.abort(); // an answer to what was typed before must not come after the one to this
      const mine = (asking = new AbortController());
      try {
        const url = `${box.dataset.schoolSearch}?${new URLSearchParams({ q: input.value })}`;
        const answer = await fetch(url, { signal: mine.signal, headers: { Accept: "application/json" } });
        if (answer.ok) show(await answer.json());
      } catch {
        // overtaken or offline: the Search button is still there
      }
    }

    input.addEventListener("input", () => {
      clearTimeout(timer);
      asking?.abort();
      if (input.value.trim().length < LEAST) return close();
      timer = setTimeout(ask, PAUSE);
    });

    input.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && !list.hidden) {
        const stops = options().length + 1; // the input itself is one of them
        activate(((active + 1 + step + stops) % stops) - 1);
      } else if (step === 1 && input.value.trim().length >= LEAST) {
        ask();
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
