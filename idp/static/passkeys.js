/*
 * Passkeys (W3C Web Authentication). What needs them is `hidden` until here; without this file, or in a browser without
 * passkeys, the password does it.
 *
 *   <form method="post" data-passkey="create|get" data-options="<address of the options>" hidden>
 *     <input name="csrf_token" …><input name="passkey" type="hidden"><button>…</button><p data-passkey-problem role="alert"></p>
 *   </form>
 *
 * Its button asks the browser for a passkey, and sends the authenticator's response. With `data-autofill` the browser
 * also offers passkeys in the list below a field with autocomplete="username webauthn". [data-without-passkeys] is what is
 * said where there are none.
 */
"use strict";

(() => {
  const OPTIONS_CACHE_MS = 480_000; // a challenge is valid for ten minutes, of which the person needs some

  const PROBLEMS = {
    AbortError: "",
    NotAllowedError: "No passkey was used. You can try again whenever you like.",
    InvalidStateError: "This device already has a passkey for your account.",
    otherwise: "That did not work in this browser. You can try again, or do it another way.",
  };

  const toBytes = (text) => {
    const padded = text.replace(/-/g, "+").replace(/_/g, "/").padEnd(Math.ceil(text.length / 4) * 4, "=");
    return Uint8Array.from(atob(padded), (char) => char.charCodeAt(0));
  };
  const toText = (buffer) => {
    const bytes = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
    return btoa(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  };

  function parseOptions(kind, json) {
    const parse = kind === "create" ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON";
    if (PublicKeyCredential[parse]) return PublicKeyCredential[parse](json);
    const options = { ...json, challenge: toBytes(json.challenge) };
    if (json.user) options.user = { ...json.user, id: toBytes(json.user.id) };
    for (const list of ["allowCredentials", "excludeCredentials"]) {
      if (json[list]) options[list] = json[list].map((credential) => ({ ...credential, id: toBytes(credential.id) }));
    }
    return options;
  }

  function serialise(credential) {
    try {
      return JSON.stringify(credential.toJSON());
    } catch { // an older browser, or a password manager that stands in for it
      const { id, rawId, type, authenticatorAttachment, response } = credential;
      const json = { id, rawId: toText(rawId), type, authenticatorAttachment, response: {}, clientExtensionResults: {} };
      for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
        if (response[name]) json.response[name] = toText(response[name]);
      }
      if (response.getTransports) json.response.transports = response.getTransports();
      return JSON.stringify(json);
    }
  }

  function enable(form) {
    const { passkey: kind, options: address } = form.dataset;
    const problem = form.querySelector("[data-passkey-problem]");
    let lastRequest = null, options = null, fetchedAt = 0, timer;

    async function fetchOptions() {
      if (Date.now() < fetchedAt + OPTIONS_CACHE_MS) return options;
      const headers = { "X-CSRFToken": form.elements.csrf_token.value, Accept: "application/json" };
      const response = await fetch(address, { method: "POST", headers });
      if (response.redirected) return loadPageItself(); // signed out, or too long ago: the page itself leads on
      if (!response.ok) throw new Error(`${response.status}`);
      [options, fetchedAt] = [await response.json(), Date.now()];
      return options;
    }

    async function request(extraOptions = {}) {
      lastRequest?.abort();
      clearTimeout(timer);
      const controller = (lastRequest = new AbortController());
      const json = await fetchOptions();
      if (!json || controller.signal.aborted) return;
      const credential = await navigator.credentials[kind]({ publicKey: parseOptions(kind, json), signal: controller.signal, ...extraOptions });
      if (!credential) return;
      form.elements.passkey.value = serialise(credential);
      form.submit();
    }

    async function autofill() {
      if (document.hidden) return document.addEventListener("visibilitychange", autofill, { once: true });
      try {
        const pending = request({ mediation: "conditional" });
        timer = setTimeout(autofill, OPTIONS_CACHE_MS + 1000); // with a new challenge, which the person does not notice
        await pending;
      } catch {
        // the person did something else: the button and the password are still there
      }
    }

    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      event.stopImmediatePropagation(); // until there is a response, the button may be pressed again
      problem.textContent = "";
      try {
        await request();
      } catch (error) {
        problem.textContent = PROBLEMS[error.name] ?? PROBLEMS.otherwise;
        offerAutofill();
      }
    }, { capture: true });
    form.hidden = false;

    async function offerAutofill() {
      if ("autofill" in form.dataset && await PublicKeyCredential.isConditionalMediationAvailable?.()) autofill();
    }
    offerAutofill();
  }

  if (!window.PublicKeyCredential) return;
  document.querySelectorAll("[data-without-passkeys]").forEach((text) => { text.hidden = true; });
  document.querySelectorAll("form[data-passkey]").forEach(enable);
})();
