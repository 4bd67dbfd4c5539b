"""Measures how fast the page is on a slow phone, in a real browser, and prints one JSON document.

    cargo run --release -p blockgate --example page -- 127.0.0.1:8080 3000      prints BASE USER PASSWORD
    python3 tests/python/paint.py BASE USER PASSWORD [THROTTLE]

The browser's CPU is slowed down (four times, where nothing else is said), each page is asked for five times with
an empty cache, then scrolled to its end by a wheel's steps, a frame at a time, and the list of meters is searched as
a person types. `first_paint_ms` is the median first contentful paint; `longest_task_ms` the longest task of the
browser's main thread from the first byte to the end of the scroll (long tasks begin at 50 ms; 0 where there was
none); `longest_frame_ms` the longest time between two frames of the scroll, with a frame due each 16.7 ms. `live` is
a list that stays open for ten seconds while the stream tells of every meter every two seconds.

The bars, at fourfold throttle: `over` names what is above them, and the exit code is 1 then.
"""

import json
import statistics
import sys

from pages import browser, log_in

PRINTED = "/sheet?whole=yes"
PAGES = ["/", "/meters", "/meters?show=trouble", "/meters?from=2940", "/lines", "/alarms", "/households", "/bills",
         "/counter", "/parking", "/doors", "/board", "/system", "/sheet", PRINTED]
SEARCHES = ["m-", "m-01", "m-0101", "stair", "nothing"]
TIMES = 5
BARS = {"first_paint_ms": 1000, "longest_task_ms": 200, "longest_frame_ms": 200}
WATCH = """
window.longest = 0;
new PerformanceObserver(list => {
  for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({type: 'longtask', buffered: true});
"""
SCROLL = """
const [step_px, done] = arguments;
let before = 0, gap = 0;
const ends = () => setTimeout(() => {
  const paint = performance.getEntriesByName('first-contentful-paint')[0];
  const navigation = performance.getEntriesByType('navigation')[0];
  done([paint ? paint.startTime : -1, window.longest, navigation.responseStart,
    document.querySelectorAll('*').length, gap]);
}, 200);
const step = now => {
  if (before) gap = Math.max(gap, now - before);
  before = now;
  const at = scrollY;
  scrollBy(0, step_px);
  if (scrollY > at) requestAnimationFrame(step); else ends();
};
requestAnimationFrame(step);
"""
STAY = """
const done = arguments[arguments.length - 1];
let before = 0, gap = 0, shown = 0;
const first = document.querySelector('[data-register]');
new MutationObserver(changes => { shown += changes.length; }).observe(document.body,
  {subtree: true, childList: true, characterData: true, attributes: true});
const begin = performance.now();
window.longest = 0;
const look = now => {
  if (before) gap = Math.max(gap, now - before);
  before = now;
  if (now - begin < 10000) requestAnimationFrame(look); else done([window.longest, gap, shown]);
};
requestAnimationFrame(look);
"""


def main():
    base, user, password = sys.argv[1:4]
    throttle = int(sys.argv[4]) if len(sys.argv) > 4 else 4
    driver = browser()
    pages, over = {}, []
    try:
        log_in(driver, base, user, password)
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})
        driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
        driver.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": throttle})
        driver.set_script_timeout(120)

        def visit(path):
            driver.get(base + path)
            steps = 0 if path == PRINTED else 400
            return driver.execute_async_script(SCROLL, steps)

        def summed(seen):
            return {
                "first_paint_ms": round(statistics.median(s[0] for s in seen)),
                "longest_task_ms": round(max(s[1] for s in seen)),
                "longest_frame_ms": round(max(s[4] for s in seen)),
                "first_byte_ms": round(statistics.median(s[2] for s in seen)),
                "elements": max(s[3] for s in seen),
            }

        for page in PAGES:
            pages[page] = summed([visit(page) for _ in range(TIMES)])
        # A person looks for one meter among all: each search is a page of its own.
        pages["search"] = summed([visit(f"/meters?q={text}") for text in SEARCHES])
        driver.get(f"{base}/meters")
        longest, gap, shown = driver.execute_async_script(STAY)
        pages["live"] = {"longest_task_ms": round(longest), "longest_frame_ms": round(gap), "changes_shown": shown}
    finally:
        driver.quit()
    for page, figures in pages.items():
        for name, bar in BARS.items():
            if figures.get(name, 0) > bar and (page != PRINTED or name == "first_paint_ms"):
                over.append(f"{page}: {name} {figures[name]} > {bar}")
    print(json.dumps({"throttle": throttle, "bars": BARS, "pages": pages, "over": over}, indent=1))
    sys.exit(1 if over and throttle <= 4 else 0)


main()
