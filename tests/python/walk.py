"""Walks the maintenance page in a real browser and prints one JSON document of what it saw.

    walk.py BASE USER PASSWORD LANGUAGE FOLDER WIDTH,WIDTH…

Every section at each width: does anything scroll sideways, does the console say an error, does
a request leave loopback, does axe find anything serious, is a target smaller than 24 px, how many bytes does a
first look take. Screenshots go to FOLDER. Exit code 0 when the walk was made; the caller judges the document.
"""

import gzip
import json
import re
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import axe_core_python
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SECTIONS = [
    "/", "/more", "/me", "/meters", "/meters?show=trouble", "{meter}", "{meter}?span=month", "{meter}?span=year",
    "{meter}/exchange", "/lines", "/scan", "/sheet", "/households", "{household}", "{household}/move-out", "/bills", "{bill}", "/counter",
    "/receipts", "{receipt}", "/corrections", "/rules", "/parking", "/stays", "/unresolved", "/tariff-board", "/doors", "{door}", "/door-events", "/controllers",
    "/board", "/alarms", "{alarm}", "/system", "/outbox", "/audit", "/log", "/diagnostics", "/backup", "/start", "/users",
]
FIRST = {"{meter}": "/meters", "{household}": "/households", "{bill}": "/bills", "{receipt}": "/receipts",
         "{alarm}": "/alarms", "{door}": "/doors"}
# Controls below the 24 px that WCAG 2.2 (2.5.8) asks for; links within sentences are let off there.
SMALL = """
return [...document.querySelectorAll('button, input:not([type=hidden]), select, textarea, summary, nav a, .button')]
  .filter(e => e.offsetParent && !e.closest('.skip'))
  .filter(e => { const r = e.getBoundingClientRect(); return r.width < 24 || r.height < 24; })
  .map(e => e.outerHTML.slice(0, 120));
"""


def first_look(base, path, cookie, kept):
    """Bytes of a page with everything it asks for, each compressed by itself."""
    def get(place):
        request = urllib.request.Request(base + place, headers={"Cookie": cookie})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    html = get(path)
    total = len(gzip.compress(html, 9))
    for asset in sorted(set(re.findall(r'/assets/[\w.]+', html.decode()))):
        if asset not in kept:
            kept[asset] = len(gzip.compress(get(asset), 9))
        total += kept[asset]
    return total


def browser():
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                     "--disable-component-update", "--disable-dev-shm-usage", "--lang=en"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def main():
    base, user, password, language, folder = sys.argv[1:6]
    widths = [int(width) for width in sys.argv[6].split(",")]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    axe = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
    driver = browser()
    seen = {"pages": 0, "wide": [], "console": [], "elsewhere": [], "axe": [], "small": [], "status": [], "bytes": {}}
    try:
        driver.get(f"{base}/language/{language}?back=/login")
        field = driver.find_element(By.NAME, "user")
        field.clear()
        field.send_keys(user)
        driver.find_element(By.NAME, "password").send_keys(password)
        driver.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        WebDriverWait(driver, 30).until(lambda d: urllib.parse.urlsplit(d.current_url).path != "/login")
        places = {}
        for name, path in FIRST.items():
            driver.get(base + path)
            start = path + "/"
            links = [urllib.parse.urlsplit(a.get_attribute("href")).path
                     for a in driver.find_elements(By.CSS_SELECTOR, "main a[href]")]
            found = [link for link in links if link.startswith(start)]
            if found:
                places[name] = found[0]
        cookie = "; ".join(f"{c['name']}={c['value']}" for c in driver.get_cookies())
        assets = {}
        for width in widths:
            for section in SECTIONS:
                name = re.match(r"\{\w+\}", section)
                if name and name.group() not in places:
                    # So early a block has no alarm yet, and it may have no doors; everything else it must have.
                    if name.group() not in ("{alarm}", "{door}"):
                        seen["status"].append(f"{section}: nothing to look at")
                    continue
                path = section.replace(name.group(), places[name.group()]) if name else section
                dark = (width in (390, 768))
                driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
                    "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                    "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 800})
                if width == 320:
                    seen["bytes"][section] = first_look(base, path, cookie, assets)
                driver.get(base + path)
                seen["pages"] += 1
                measured = driver.execute_script("""
                    const e = document.documentElement;
                    const n = performance.getEntriesByType('navigation')[0];
                    return [e.scrollWidth, e.clientWidth, n.responseStatus, e.lang, e.scrollHeight];""")
                scroll, client, status, lang, height = measured
                if scroll > client:
                    seen["wide"].append(f"{path} at {width}: {scroll} > {client}")
                if status not in (0, 200) or not lang.startswith(language):
                    seen["status"].append(f"{path} at {width}: {status} {lang}")
                if width == 320:
                    seen["small"] += [f"{path}: {e}" for e in driver.execute_script(SMALL)]
                # The smallest in light; in dark the colours differ and the structure does not, so a part will do.
                if width == 320 or (width == 768 and SECTIONS.index(section) % 4 == 0):
                    # What is folded away is looked at as well; folded, it has no place of its own on the screen.
                    driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; });")
                    driver.execute_script(axe)
                    result = driver.execute_async_script("""
                        const done = arguments[arguments.length - 1];
                        axe.run(document, {resultTypes: ['violations']}).then(done, e => done({violations: [{id: String(e), impact: 'serious', nodes: []}]}));""")
                    for violation in result["violations"]:
                        if violation["impact"] in ("serious", "critical"):
                            nodes = [
                                " ".join([n["html"][:160], *(check["message"] for check in n.get("any", []))])
                                for n in violation["nodes"][:2]
                            ]
                            seen["axe"].append(f"{path} at {width}: {violation['id']} {nodes}")
                if width in (390, 1280):
                    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                        "width": width, "height": max(900, min(height, 3000)), "deviceScaleFactor": 1,
                        "mobile": width < 800})
                    shot = re.sub(r"[^a-z0-9]+", "_", section.strip("/{}")) or "overview"
                    driver.save_screenshot(str(folder / f"{shot}-{language}-{width}.png"))
        for entry in driver.get_log("browser"):
            if entry["level"] == "SEVERE":
                seen["console"].append(entry["message"])
        for entry in driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = urllib.parse.urlsplit(message["params"]["request"]["url"])
                if url.scheme not in ("data", "about", "blob") and url.hostname not in ("127.0.0.1", "localhost"):
                    seen["elsewhere"].append(url.geturl())
    finally:
        driver.quit()
    print(json.dumps(seen, ensure_ascii=False))


main()
