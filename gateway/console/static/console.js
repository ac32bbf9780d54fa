// What pages do where there is JavaScript; without it they are whole too, and load themselves again.
//
//   data-refresh="URL" data-every="5"   the content is fetched again every 5 seconds
//   data-live                           says whether that goes on, with a button that pauses it
"use strict";

(() => {
  const live = document.querySelector("[data-live]");
  const button = live?.querySelector("[data-pause]");
  let paused = false;

  function say(state, text) {
    if (!live || live.dataset.state === state) return;
    live.dataset.state = state;
    live.querySelector("[data-live-text]").textContent = text;
  }

  function resting() {
    return paused || document.hidden;
  }

  // what had the focus before has it afterwards, by its id
  function replaceContent(place, text) {
    const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
    const opened = new Set([...place.querySelectorAll("details[open][id]")].map((one) => one.id));
    place.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  async function refresh(place) {
    if (resting()) return;
    try {
      const answer = await fetch(place.dataset.refresh, { credentials: "same-origin", cache: "no-store" });
      if (answer.status === 401) {
        location.reload();
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      if (paused) return;
      replaceContent(place, text);
      say("live", "Live");
    } catch {
      if (!paused) say("away", "The gateway does not answer; trying again");
    }
  }

  for (const place of document.querySelectorAll("[data-refresh]")) {
    const again = async () => {
      await refresh(place);
      setTimeout(again, Number(place.dataset.every) * 1000);
    };
    setTimeout(again, Number(place.dataset.every) * 1000);
  }

  button?.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    say(paused ? "paused" : "live", paused ? "Paused" : "Live");
    document.dispatchEvent(new CustomEvent("console-pause", { detail: paused }));
  });

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) document.querySelectorAll("[data-refresh]").forEach(refresh);
  });

  if (live) {
    live.hidden = false;
    say("live", "Live");
  }
})();
