/*
 * A list of schools while somebody types, as the WAI-ARIA combobox pattern describes it (editable, list
 * autocomplete, nothing selected until chosen). Without this file the Search button does the same.
 *
 *   <div class="combobox" data-school-search="<address of the JSON>"><input id="q" …></div>
 *
 * Choosing a school loads the page of results with that school selected, so it is seen before it is taken.
 */
"use strict";

(() => {
  const PAUSE = 150; // ms without a key before we ask
  const LEAST = 2; // letters

  function upgrade(box) {
    const input = box.querySelector("input");
    const list = Object.assign(document.createElement("ul"), { id: `${input.id}-list`, hidden: true });
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Schools");
    const voice = Object.assign(document.createElement("div"), { className: "unseen" });
    voice.setAttribute("role", "status");
    box.append(list);
    box.after(voice);

    const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id };
    for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);

    let timer, asking, active = -1;
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
      location.assign(there);
    }

    function row(school, index) {
      const option = Object.assign(document.createElement("li"), { id: `${input.id}-option-${index}`, textContent: school.name });
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      option.dataset.school = school.id;
      const numbers = [school.urn && `URN ${school.urn}`, school.dfe_number && `DfE number ${school.dfe_number}`];
      for (const details of [[school.place], [...numbers, school.phase, school.status]]) {
        option.append(Object.assign(document.createElement("small"), { textContent: details.filter(Boolean).join(" · ") }));
      }
      return option;
    }

    function show({ results, more }) {
      list.replaceChildren(...results.map(row));
      open(results.length > 0);
      const count = results.length === 1 ? "One school" : `${more ? "More than " : ""}${results.length} schools`;
      voice.textContent = results.length ? `${count}. Use the arrow keys to choose.` : "No school found so far.";
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
      if (option) choose(option);
    });
    input.addEventListener("blur", close);
    input.form.addEventListener("submit", close);
  }

  document.querySelectorAll("[data-school-search]").forEach(upgrade);
})();
