// What pages do where there is JavaScript; without it they are whole too, and load themselves again.
//
//   data-refresh="URL" data-every="5"     the content is fetched again every 5 seconds
//   data-events="URL" data-most="100"     rows that the gateway sends are put on top, up to 100
//   data-live                             says whether that goes on, with a button that pauses it
"use strict";

(() => {
  const live = document.querySelector("[data-live]");
  const button = live?.querySelector("[data-pause]");
  const held = [];
  let paused = false;

  function say(state, text) {
    if (!live) return;
    const place = live.querySelector("[data-live-text]");
    live.dataset.state = state;
    // a screen reader says each change, so there is none where nothing has changed
    if (place.textContent !== text) place.textContent = text;
  }

  function sayLive() {
    if (paused) say("paused", held.length ? `Paused, ${held.length} new` : "Paused");
    else say("live", "Live");
  }

  function sayAway() {
    if (!paused) say("away", "No answer, trying again");
  }

  function parsed(text) {
    return new DOMParser().parseFromString(text, "text/html").body;
  }

  // what had the focus has it afterwards, by its id; what was opened stays open
  function replaceContent(place, text) {
    const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
    const opened = [...place.querySelectorAll("details[open][id]")].map((one) => one.id);
    place.replaceChildren(...parsed(text).childNodes);
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  async function refresh(place) {
    if (paused || document.hidden) return;
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
      sayLive();
    } catch {
      sayAway();
    }
  }

  function keepFresh(place) {
    const again = async () => {
      await refresh(place);
      setTimeout(again, Number(place.dataset.every) * 1000);
    };
    setTimeout(again, Number(place.dataset.every) * 1000);
  }

  function show(list, text) {
    const rows = parsed(`<table><tbody>${text}</tbody></table>`).querySelectorAll("tr");
    list.querySelector("[data-nothing]")?.remove();
    for (const row of rows) {
      row.classList.add("new");
      list.prepend(row);
    }
    while (list.rows.length > Number(list.dataset.most)) list.rows[list.rows.length - 1].remove();
  }

  // a browser keeps few connections to one host: a window that nobody sees gives its own back
  function follow(list) {
    const address = new URL(list.dataset.events, location.href);
    let source = null;

    function arrived(event) {
      address.searchParams.set("after", event.lastEventId);
      if (!paused) {
        show(list, event.data);
        return;
      }
      held.push(event.data);
      if (held.length > Number(list.dataset.most)) held.shift();
      sayLive();
    }

    function connect() {
      source = new EventSource(address);
      source.addEventListener("open", sayLive);
      source.addEventListener("request", arrived);
      source.addEventListener("error", () => {
        sayAway();
        // an answer that is none of events ends it for good: the page says why
        if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
      });
    }

    document.addEventListener("visibilitychange", () => {
      source.close();
      if (!document.hidden) connect();
    });
    connect();
    button?.addEventListener("click", () => {
      if (!paused) held.splice(0).forEach((text) => show(list, text));
    });
  }

  button?.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    sayLive();
  });

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) document.querySelectorAll("[data-refresh]").forEach(refresh);
  });

  document.querySelectorAll("[data-refresh]").forEach(keepFresh);
  document.querySelectorAll("[data-events]").forEach(follow);
  if (live) {
    live.hidden = false;
    sayLive();
  }
})();
