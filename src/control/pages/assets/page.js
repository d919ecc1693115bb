// Keeps a page alive: swaps the parts that the server sends, keeps focus, scroll and what is folded open, and says how the
// connection is. Everything on the page works without it.
"use strict";
(() => {
  const main = document.querySelector("[data-live]");
  const link = document.getElementById("link");
  if (!main || !main.dataset.live || !window.EventSource) return;
  const STALE_MS = 10000;
  let source = null;
  let heard = Date.now();
  let ahead = 0; // By how much the server's clock is ahead of ours.
  let retry = 0;

  function span(ms) {
    const s = Math.max(0, Math.floor(ms / 1000));
    const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
    if (d) return h ? `${d} d ${h} h` : `${d} d`;
    if (h) return m ? `${h} h ${m} min` : `${h} h`;
    return m ? `${m} min` : `${s} s`;
  }

  function tick() {
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll("time:not(.clock)")) {
      const passed = now - Date.parse(time.dateTime);
      const text = passed < 1000 ? "now" : `${span(passed)} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
    const silent = Date.now() - heard;
    const stale = silent > STALE_MS;
    document.documentElement.classList.toggle("stale", stale);
    const state = stale ? "lost" : source && source.readyState === 1 ? "live" : "wait";
    const words = { live: "live", wait: "connecting", lost: `no connection for ${span(silent)}, shown as it was` };
    link.hidden = false;
    link.className = `link ${state}`;
    if (link.textContent !== words[state]) link.textContent = words[state];
    const title = document.title.replace(/^\(old\) /, "");
    document.title = stale ? `(old) ${title}` : title;
  }

  function swap(part, html) {
    const active = document.activeElement;
    const focus = active && part.contains(active) ? active.id : "";
    const row = [...part.querySelectorAll("[data-key]")].find((each) => each.getBoundingClientRect().bottom > 0);
    const top = row ? row.getBoundingClientRect().top : 0;
    const fresh = document.createElement("template");
    fresh.innerHTML = html; // Markup of our own server, in which everything foreign is escaped.
    for (const next of fresh.content.querySelectorAll("[data-key]")) {
      const known = part.querySelector(`[data-key="${CSS.escape(next.dataset.key)}"]`);
      if (known && known.dataset.rev === next.dataset.rev) next.replaceWith(known);
      else next.classList.add(known ? "changed" : "fresh");
    }
    part.replaceChildren(fresh.content);
    if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
    const same = row && part.querySelector(`[data-key="${CSS.escape(row.dataset.key)}"]`);
    if (same && top < 0) window.scrollBy(0, same.getBoundingClientRect().top - top);
  }

  function connect() {
    source?.close();
    source = new EventSource(main.dataset.live);
    for (const part of document.querySelectorAll("[data-part]")) {
      source.addEventListener(part.id, (event) => {
        if (part.innerHTML !== event.data) swap(part, event.data);
        if (part.id === "resolve" && !part.querySelector("form")) document.getElementById("asked")?.remove();
      });
    }
    source.addEventListener("beat", (event) => {
      heard = Date.now();
      ahead = Number(event.data) - heard;
      retry = 0;
      tick();
    });
    source.onerror = () => {
      tick();
      if (source.readyState !== 2) return; // The browser tries again by itself.
      retry = Math.min(retry + 1, 6);
      setTimeout(() => document.hidden || connect(), 2000 * retry);
    };
  }

  // A hidden page holds no connection: browsers have few for each server.
  document.addEventListener("visibilitychange", () => {
    source?.close();
    if (!document.hidden) connect();
  });
  window.addEventListener("pagehide", () => source?.close());
  window.addEventListener("pageshow", (event) => event.persisted && connect());
  connect();
  tick();
  setInterval(tick, 1000);
})();
