"""Measures how fast the page is on a slow phone, in a real browser, and prints one JSON document.

    cargo run --release -p blockgate --example page -- 127.0.0.1:8080 3000      prints BASE USER PASSWORD
    python3 tests/python/paint.py BASE USER PASSWORD [THROTTLE]

The browser's CPU is slowed down (four times, where nothing else is said), each page is asked for five times with
an empty cache, then scrolled to its end a screen at a time, and the list of meters is searched as a person types.
`first_paint_ms` is the median first contentful paint, `longest_task_ms` the longest task of the browser's main
thread from the first byte to the end of the scroll (long tasks begin at 50 ms; 0 where there was none).
"""

import json
import statistics
import sys

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

PAGES = ["/", "/meters", "/meters?show=trouble", "/lines", "/alarms", "/bills", "/system", "/sheet"]
TIMES = 5
WATCH = """
window.longest = 0;
new PerformanceObserver(list => {
  for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({type: 'longtask', buffered: true});
"""
SCROLL = """
const done = arguments[arguments.length - 1];
const step = () => {
  const before = scrollY;
  scrollBy(0, innerHeight);
  if (scrollY > before) requestAnimationFrame(() => requestAnimationFrame(step));
  else setTimeout(() => {
    const paint = performance.getEntriesByName('first-contentful-paint')[0];
    const navigation = performance.getEntriesByType('navigation')[0];
    done([paint ? paint.startTime : -1, window.longest, navigation.responseStart, document.querySelectorAll('*').length]);
  }, 200);
};
step();
"""


def main():
    base, user, password = sys.argv[1:4]
    throttle = int(sys.argv[4]) if len(sys.argv) > 4 else 4
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        driver.get(f"{base}/login")
        field = driver.find_element(By.NAME, "user")
        field.clear()
        field.send_keys(user)
        driver.find_element(By.NAME, "password").send_keys(password)
        driver.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})
        driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
        driver.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": throttle})
        driver.set_script_timeout(120)
        pages = {}
        for page in PAGES:
            seen = []
            for _ in range(TIMES):
                driver.get(base + page)
                seen.append(driver.execute_async_script(SCROLL))
            pages[page] = {
                "first_paint_ms": round(statistics.median(s[0] for s in seen)),
                "longest_task_ms": round(max(s[1] for s in seen)),
                "first_byte_ms": round(statistics.median(s[2] for s in seen)),
                "elements": seen[0][3],
            }
        # A person looks for one meter among all: each search is a page of its own.
        searches = []
        for text in ("m-", "m-01", "m-0101", "stair", "nothing"):
            driver.get(f"{base}/meters?q={text}")
            searches.append(driver.execute_async_script(SCROLL))
        pages["search"] = {
            "first_paint_ms": round(max(s[0] for s in searches)),
            "longest_task_ms": round(max(s[1] for s in searches)),
        }
        print(json.dumps({"throttle": throttle, "pages": pages}, indent=1))
    finally:
        driver.quit()


main()
