// Attempts to retrieve, told while they go on: the answer to the form is read as Server-Sent Events (the form is sent by
// POST, which EventSource cannot do). Without JavaScript the form leads to a page with the result.
"use strict";

(() => {
  const words = { complete: "complete", partial: "only in part", failed: "failed" };
  const signs = { complete: "ok", partial: "warn", failed: "bad" };

  function bytes(number) {
    const units = ["B", "kB", "MB", "GB"];
    let unit = 0;
    while (number >= 1000 && unit < units.length - 1) {
      number /= 1000;
      unit += 1;
    }
    return `${unit ? number.toPrecision(3) : number} ${units[unit]}`;
  }

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function said(word, ofImages) {
    if (!ofImages) return bytes(word.bytes);
    return `${word.instances} of ${word.wanted} images, ${bytes(word.bytes)}`;
  }

  function showProgress(place, word, ofImages) {
    const bar = place.bar;
    if (word.wanted) {
      bar.max = word.wanted;
      bar.value = ofImages ? word.instances : word.bytes;
    }
    place.text.textContent = said(word, ofImages);
  }

  function showEnd(place, word, ofImages) {
    place.going.replaceChildren();
    const badge = element("span", words[word.outcome], `badge ${signs[word.outcome]}`);
    const text = ` ${said(word, ofImages)} in ${word.seconds.toFixed(2)} s`;
    const parts = [badge, document.createTextNode(text)];
    if (word.problem) parts.push(element("div", word.problem, "bad-text"));
    const lines = word.missing.map((one) => `${one.instances} ${ofImages ? "images" : "documents"}: ${one.reason}${one.peer ? ` (${one.peer})` : ""}`);
    const called = word.legs.map((leg) => `${leg.transaction} ${leg.peer} ${(leg.seconds * 1000).toFixed(0)} ms${leg.failure ? `: ${leg.failure}` : ""}`);
    if (lines.length + called.length) {
      const list = element("ul", undefined, "sub");
      for (const line of [...lines, ...called.slice(0, 6)]) list.append(element("li", line));
      parts.push(list);
    }
    place.result.replaceChildren(...parts);
  }

  // events are parted by an empty line; what is left is the begin of the next one
  function* events(text) {
    for (const block of text.split("\n\n")) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
      if (fields.data) yield [fields.event, JSON.parse(fields.data)];
    }
  }

  async function read(answer, place, ofImages) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let held = "";
    let ended = false;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      held += value;
      const end = held.lastIndexOf("\n\n");
      if (end < 0) continue;
      for (const [name, word] of events(held.slice(0, end))) {
        if (name === "done") {
          ended = true;
          showEnd(place, word, ofImages);
        } else showProgress(place, word, ofImages);
      }
      held = held.slice(end + 2);
    }
    if (!ended) throw new Error("The answer ended before its end.");
  }

  function placeOf(form) {
    const result = form.parentElement.querySelector("[data-result]");
    const going = form.parentElement.querySelector("[data-progress]");
    const bar = element("progress");
    bar.setAttribute("aria-label", `Retrieving ${form.dataset.what}`);
    const text = element("span", "Asking");
    result.replaceChildren();
    going.replaceChildren(text, bar);
    return { result, going, bar, text };
  }

  async function problemOf(answer) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.querySelector("main p")?.textContent ?? `HTTP ${answer.status}`;
  }

  async function attempt(form) {
    const button = form.querySelector("button");
    const place = placeOf(form);
    const ofImages = form.action.endsWith("retrieve-images");
    button.disabled = true;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new URLSearchParams(new FormData(form)),
        headers: { Accept: "text/event-stream" },
        credentials: "same-origin",
      });
      const isStream = (answer.headers.get("Content-Type") ?? "").startsWith("text/event-stream");
      if (!answer.ok || !isStream) throw new Error(await problemOf(answer));
      await read(answer, place, ofImages);
    } catch (error) {
      const text = error instanceof TypeError ? "The gateway does not answer." : error.message;
      place.going.replaceChildren();
      place.result.replaceChildren(element("span", words.failed, "badge bad"), element("div", text, "bad-text"));
    } finally {
      button.disabled = false;
      button.focus({ preventScroll: true });
    }
  }

  for (const form of document.querySelectorAll("form[data-attempt]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(form);
    });
  }

  // an archive that renders nothing leaves no broken picture behind
  for (const picture of document.querySelectorAll("img[data-thumb]")) {
    const away = () => picture.remove();
    if (picture.complete && !picture.naturalWidth) away();
    else picture.addEventListener("error", away);
  }
})();
