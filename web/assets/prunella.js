// Keeps a page current. Without this script every page is complete, only still.
//
// The server announces changes (server-sent events); when one concerns this
// page, the page is fetched again and every element marked data-live is morphed
// into its new version: nodes that did not change stay the same nodes, so
// focus, selection, open details, typed text and the scroll position stay.
(() => {
  "use strict";
  const topics = (document.body.dataset.topics || "").split(" ").filter(Boolean);
  const live = document.getElementById("live");
  const stale = document.getElementById("stale");
  const nb = "\u00a0";

  // --- relative times; the rules are those of format.go -------------------
  const two = (s, big, bigUnit, small, smallUnit) => {
    const rest = Math.floor((s % big) / small);
    return Math.floor(s / big) + nb + bigUnit + (rest ? " " + rest + nb + smallUnit : "");
  };
  const duration = (s) =>
    s < 60 ? Math.floor(s) + nb + "s" : s < 3600 ? two(s, 60, "min", 1, "s") : s < 86400 ? two(s, 3600, "h", 60, "min") : two(s, 86400, "d", 3600, "h");
  const coarse = (s) => (s >= 86400 ? s - (s % 86400) : s >= 300 ? s - (s % 60) : Math.floor(s));
  let skew = 0; // the server's clock minus ours, ms
  const tick = () => {
    const now = Date.now() + skew;
    for (const t of document.querySelectorAll("time[data-tick]")) {
      const s = (now - Date.parse(t.dateTime)) / 1000;
      let text;
      if (t.dataset.tick === "for") text = duration(Math.abs(s));
      else if (t.dataset.tick === "due" && s >= 0) text = "due now";
      else if (Math.abs(s) < 1) text = "now";
      else text = s < 0 ? "in " + duration(coarse(-s)) : duration(coarse(s)) + " ago";
      if (t.textContent !== text) t.textContent = text;
    }
  };

  // --- morphing -----------------------------------------------------------
  const keep = new Set(["open", "aria-expanded"]); // what the reader set
  const morphNode = (old, fresh) => {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || (old.id || "") !== (fresh.id || "")) {
      old.replaceWith(document.importNode(fresh, true));
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const a of [...old.attributes]) if (!fresh.hasAttribute(a.name) && !keep.has(a.name)) old.removeAttribute(a.name);
    for (const a of fresh.attributes) {
      if (old.getAttribute(a.name) === a.value || (old.nodeName === "INPUT" && a.name === "value")) continue;
      if (a.name === "open") continue;
      old.setAttribute(a.name, a.value);
    }
    morphChildren(old, fresh);
  };
  const morphChildren = (old, fresh) => {
    const wanted = [...fresh.childNodes];
    let at = old.firstChild;
    for (const f of wanted) {
      if (f.id && (!at || at.id !== f.id)) {
        const moved = [...old.children].find((c) => c.id === f.id);
        if (moved) old.insertBefore(moved, at), (at = moved);
      }
      if (!at) {
        old.appendChild(document.importNode(f, true));
        continue;
      }
      const next = at.nextSibling;
      morphNode(at, f);
      at = next;
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  // --- enhancements that a swap must not lose -----------------------------
  const dressUp = (root) => {
    for (const pre of root.querySelectorAll("pre[data-copy]")) {
      if (!navigator.clipboard || pre.parentElement.classList.contains("copied")) continue;
      const box = document.createElement("div");
      const button = document.createElement("button");
      box.className = "copied";
      button.className = "copy";
      button.type = "button";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(pre.innerText);
          button.textContent = "Copied";
        } catch {
          button.textContent = "Not allowed";
        }
        setTimeout(() => (button.textContent = "Copy"), 1500);
      });
      pre.replaceWith(box);
      box.append(pre, button);
    }
  };

  // --- keeping current ----------------------------------------------------
  let lastGood = Date.now();
  let wanted = false;
  let busy = false;
  const utc = (ms) => new Date(ms).toISOString().slice(11, 19);
  const show = (state, text) => {
    live.dataset.state = state;
    live.querySelector(".live-text").textContent = text;
  };
  const lost = () => {
    show("lost", "not current");
    stale.hidden = false;
    stale.textContent = "This page is no longer current: nothing has been heard from the server since " + utc(lastGood) + " UTC. Trying again.";
  };
  const found = () => {
    lastGood = Date.now() + skew;
    show("live", "live");
    stale.hidden = true;
  };
  const refresh = async () => {
    wanted = true;
    if (busy) return;
    busy = true;
    try {
      while (wanted) {
        wanted = false;
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10000) });
        if (!answer.ok) throw new Error(answer.status);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-live]")) {
          const fresh = page.getElementById(part.id);
          if (!fresh) continue;
          for (const box of part.querySelectorAll(".copied")) box.replaceWith(box.querySelector("pre"));
          morphChildren(part, fresh);
          dressUp(part);
        }
        tick();
        found();
        document.dispatchEvent(new CustomEvent("prunella:swapped"));
        await new Promise((r) => setTimeout(r, 250)); // a burst of changes is one more fetch, not many
      }
    } catch {
      lost();
    } finally {
      busy = false;
    }
  };
  const concerns = (c) => topics.some((t) => t === c.what || t === c.what + ":" + c.id);
  const listen = () => {
    const source = new EventSource("/api/v1/events");
    let broken = false;
    let alarm;
    const heard = () => {
      clearTimeout(alarm);
      alarm = setTimeout(lost, 25000);
      if (broken) {
        broken = false;
        refresh(); // changes may have been missed
      } else if (stale.hidden) found();
    };
    source.addEventListener("ping", (e) => {
      skew = Date.parse(JSON.parse(e.data)) - Date.now();
      heard();
    });
    source.addEventListener("changed", (e) => {
      heard();
      if (concerns(JSON.parse(e.data))) refresh();
    });
    source.addEventListener("error", () => {
      broken = true;
      lost();
      if (source.readyState === EventSource.CLOSED) {
        clearTimeout(alarm);
        setTimeout(listen, 3000);
      }
    });
    addEventListener("pagehide", () => source.close(), { once: true });
    addEventListener("pageshow", (e) => e.persisted && (broken = true, listen(), refresh()), { once: true });
  };

  // --- search as one types ------------------------------------------------
  // The form works by itself; here its answer is fetched while one types, and
  // the part of the page that it changes is swapped in. The address follows, so
  // that a live update, a reload or a link shows the same.
  const part = async (address, options, ids) => {
    const answer = await fetch(address, options);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ids) {
      const old = document.getElementById(id);
      const fresh = page.getElementById(id);
      if (!old || !fresh) continue;
      for (const box of old.querySelectorAll(".copied")) box.replaceWith(box.querySelector("pre"));
      morphChildren(old, fresh);
      dressUp(old);
    }
  };
  for (const form of document.querySelectorAll("form[data-search]")) {
    let asked;
    let timer;
    const ask = async () => {
      asked?.abort();
      asked = new AbortController();
      const query = new URLSearchParams([...new FormData(form)].filter(([, v]) => v));
      const address = form.getAttribute("action") + (query.size ? "?" + query : "");
      try {
        await part(address, { signal: asked.signal }, [form.dataset.search]);
        history.replaceState(null, "", address);
        document.dispatchEvent(new CustomEvent("prunella:found"));
      } catch (e) {
        if (e.name !== "AbortError") lost();
      }
    };
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(ask, 60);
    });
    form.addEventListener("change", ask);
  }

  // --- the editor: what lint says and the preview follow the typing --------
  for (const form of document.querySelectorAll("form[data-editor]")) {
    const text = form.querySelector("[name=text]");
    const was = text.value;
    let timer;
    let sending = false;
    text.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const body = new URLSearchParams(new FormData(form));
        body.set("do", "preview");
        part(form.getAttribute("action"), { method: "POST", body }, ["Lint", "Preview"]).catch(() => {}); // the button still works
      }, 500);
    });
    form.addEventListener("submit", () => (sending = true));
    addEventListener("beforeunload", (e) => {
      if (!sending && text.value !== was) e.preventDefault();
    });
  }

  dressUp(document);
  setInterval(tick, 1000);
  if (live && topics.length) listen();
})();
