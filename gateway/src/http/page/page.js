// Live values for pages that the server has written whole: nothing here is needed to read or to order.
'use strict';
(() => {
  const words = document.body.dataset;
  const ago = (at) => {
    const s = Math.max(0, Math.round((Date.now() - Date.parse(at)) / 1000 + skew));
    const [n, text] = s < 60 ? [s, words.seconds] : s < 3600 ? [Math.floor(s / 60), words.minutes]
      : s < 172800 ? [Math.floor(s / 3600), words.hours] : [Math.floor(s / 86400), words.days];
    return text.replace('{}', n);
  };
  // The box's clock is the one that counts: ages are measured by it, not by the phone's.
  const skew = (Date.parse(words.now) - Date.now()) / 1000;
  // What stands there already is not written again: the browser would lay it out anew.
  const put = (place, text) => { if (place.textContent !== text) place.textContent = text; };
  const age = () => document.querySelectorAll('time[data-age]').forEach((t) => put(t, ago(t.dateTime)));

  // Found once, with every place that shows the meter.
  const cards = new Map();
  for (const card of document.querySelectorAll('[data-meter]')) {
    cards.set(card.dataset.meter, [...(cards.get(card.dataset.meter) || []), card]);
  }
  const show = (meter) => {
    for (const card of cards.get(meter.id) || []) {
      for (const pill of card.querySelectorAll('[data-freshness]')) {
        if (pill.classList.contains(meter.freshness)) continue;
        pill.className = `pill ${meter.freshness}`;
        put(pill, words[meter.freshness]);
      }
      card.classList.toggle('old', meter.freshness !== 'good');
      for (const t of card.querySelectorAll('time[data-age]')) {
        if (meter.at) { t.dateTime = meter.at; put(t, ago(meter.at)); }
      }
      for (const [name, quantity] of Object.entries(meter.values || {})) {
        const place = card.querySelector(`[data-register="${CSS.escape(name)}"]`);
        if (place) put(place, quantity ? quantity.value : words.none);
      }
    }
  };
  // Of each meter the newest news, shown with the next frame: as many as fit, the others with the one after it.
  const news = new Map();
  const frame = () => {
    const end = performance.now() + 4;
    for (const [id, meter] of news) {
      news.delete(id);
      show(meter);
      if (performance.now() > end) break;
    }
    if (news.size) requestAnimationFrame(frame);
  };
  const told = (meters) => {
    if (!news.size && meters.length) requestAnimationFrame(frame);
    for (const meter of meters) news.set(meter.id, meter);
  };
  const overview = (numbers) => {
    for (const place of document.querySelectorAll('[data-overview]')) {
      const value = numbers[place.dataset.overview];
      if (typeof value === 'number') put(place, String(value));
    }
  };

  const offline = document.getElementById('offline');
  if (words.live !== undefined && window.EventSource) {
    let events;
    const listen = () => {
      // Of the block's meters those of this screen alone, and nothing that is only for programs.
      events = new EventSource(`/v1/events?durable=false&meters=${encodeURIComponent([...cards.keys()].join(','))}`);
      events.addEventListener('live', (e) => told(JSON.parse(e.data).meters));
      events.addEventListener('overview', (e) => overview(JSON.parse(e.data)));
      // Without the gateway nothing on the screen is sure any more: its values are greyed, their ages go on.
      const lost = (yes) => { offline.hidden = !yes; document.body.classList.toggle('lost', yes); };
      events.onopen = () => lost(false);
      events.onerror = () => lost(true);
    };
    listen();
    addEventListener('pagehide', () => events.close());
    // The back button brings a page as it was left.
    addEventListener('pageshow', (e) => { if (e.persisted) listen(); });
  }
  setInterval(age, 5000);
  // The label on the box carries the set-up code behind the address, where no server sees it.
  const code = document.querySelector('input[name="code"]');
  const given = /[#&]setup=([^&]+)/.exec(location.hash);
  if (code && given) { code.value = decodeURIComponent(given[1]); history.replaceState(null, '', location.pathname); }
  // The log follows while a person wants it to, and stands still while it is read.
  const follow = document.querySelector('[data-follow]');
  let following = 0;
  const more = async () => {
    if (document.hidden) return;
    const answer = await fetch(location.href).catch(() => null);
    if (!answer || !answer.ok || answer.redirected || !following) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('log');
    if (fresh && following) document.getElementById('log').replaceWith(fresh);
  };
  if (follow) {
    follow.hidden = false;
    follow.addEventListener('click', () => {
      following = following ? (clearInterval(following), 0) : setInterval(more, 2000);
      follow.textContent = following ? follow.dataset.pause : follow.dataset.follow;
      follow.setAttribute('aria-pressed', following ? 'true' : 'false');
      if (following) more();
    });
  }
  document.addEventListener('click', (e) => { if (e.target.closest('[data-print]')) print(); });
  // A command is sent once, however often its button is pressed.
  document.addEventListener('submit', (e) => {
    const button = e.target.querySelector('button');
    if (e.target.method === 'post' && button && !('many' in button.dataset)) {
      setTimeout(() => { button.disabled = true; button.dataset.sent = ''; }, 0);
    }
  });
  // A page that the back button brings can be sent again: it has the same number, and is known by it.
  addEventListener('pageshow', (e) => {
    if (e.persisted) document.querySelectorAll('[data-sent]').forEach((button) => { button.disabled = false; });
  });
})();
