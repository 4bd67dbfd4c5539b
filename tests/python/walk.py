"""Walks the maintenance page in a real browser and prints one JSON document of what it saw.

    walk.py BASE USER PASSWORD LANGUAGE FOLDER WIDTH,WIDTH…

Every section at each width, light and dark: does anything scroll sideways, does the console say an error, does
a request leave loopback, does axe find anything against WCAG 2.2 AA, is a target smaller than 24 px, is a list
empty, how many bytes does a first look take. Screenshots of both go to FOLDER. Exit code 0 when the walk was made;
the caller judges the document.
"""

import gzip
import json
import re
import sys
import urllib.parse
import urllib.request
from pathlib import Path

from pages import AXE, FULL, SECTIONS, browser, log_in, placed, places, scheme, size

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# Controls below the 24 px that WCAG 2.2 (2.5.8) asks for; links within sentences are let off there.
SMALL = """
return [...document.querySelectorAll('button, input:not([type=hidden]), select, textarea, summary, nav a, .button')]
  .filter(e => e.offsetParent && !e.closest('.skip'))
  .filter(e => { const r = e.getBoundingClientRect(); return r.width < 24 || r.height < 24; })
  .map(e => e.outerHTML.slice(0, 120));
"""
# What stands alone is no link within a sentence: nothing else is written in its element.
ALONE = """
const said = e => e.textContent.trim();
return [...document.querySelectorAll('main a[href], header a[href]')]
  .filter(e => e.offsetParent && !e.closest('.skip, svg') && said(e) === said(e.parentElement))
  .filter(e => { const r = e.getBoundingClientRect(); return r.width < 24 || r.height < 24; })
  .map(e => e.outerHTML.slice(0, 120));
"""
# All rules at the first width; what is left to the other and to the dark are places and colours.
JUDGE = """
const done = arguments[arguments.length - 1];
const options = {resultTypes: ['violations'], runOnly: arguments[0]
  ? {type: 'tag', values: arguments[1]} : {type: 'rule', values: ['color-contrast']}};
axe.run(document, options).then(done, e => done({violations: [{id: String(e), impact: 'serious', nodes: []}]}));
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


def judged(driver, whole):
    """What axe finds, by rule with the first two places."""
    found = driver.execute_async_script(JUDGE, whole, RULES)["violations"]
    return [f"{one['id']} " + " | ".join(
        " ".join([node["html"][:160], *(check["message"] for check in node.get("any", []))])
        for node in one["nodes"][:2]) for one in found]


def main():
    base, user, password, language, folder = sys.argv[1:6]
    widths = [int(width) for width in sys.argv[6].split(",")]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    driver = browser()
    seen = {"pages": 0, "sections": SECTIONS, "wide": [], "console": [], "elsewhere": [], "axe": [], "small": [],
            "status": [], "empty": [], "bytes": {}}
    try:
        log_in(driver, base, user, password, language)
        found = places(driver, base)
        cookie = "; ".join(f"{c['name']}={c['value']}" for c in driver.get_cookies())
        assets = {}
        for width in widths:
            for section in SECTIONS:
                path = placed(section, found)
                if not path:
                    seen["status"].append(f"{section}: nothing to look at")
                    continue
                scheme(driver, "light")
                size(driver, width)
                if width == widths[0]:
                    seen["bytes"][section] = first_look(base, path, cookie, assets)
                driver.get(base + path)
                seen["pages"] += 1
                scroll, client, status, lang, height, empty = driver.execute_script("""
                    const e = document.documentElement;
                    const n = performance.getEntriesByType('navigation')[0];
                    return [e.scrollWidth, e.clientWidth, n.responseStatus, e.lang, e.scrollHeight,
                      [...document.querySelectorAll('main .empty')].length];""")
                if scroll > client:
                    seen["wide"].append(f"{path} at {width}: {scroll} > {client}")
                if status not in (0, 200) or not lang.startswith(language):
                    seen["status"].append(f"{path} at {width}: {status} {lang}")
                if empty and section in FULL:
                    seen["empty"].append(path)
                shot = re.sub(r"[^a-z0-9]+", "_", section.strip("/{}")) or "overview"
                # What was not laid out yet has its own height once it is on the screen.
                for _ in range(2):
                    size(driver, width, max(900, min(height, 3000)))
                    height = driver.execute_script("return document.documentElement.scrollHeight;")
                for name in ("light", "dark"):
                    scheme(driver, name)
                    driver.save_screenshot(str(folder / f"{shot}-{language}-{width}-{name}.png"))
                size(driver, width)
                for script in (SMALL, ALONE):
                    seen["small"] += [f"{path} at {width}: {e}" for e in driver.execute_script(script)]
                # What is folded away is looked at as well; folded, it has no place of its own on the screen.
                driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; });")
                driver.execute_script(AXE)
                for name in ("dark", "light"):
                    scheme(driver, name)
                    whole = name == "light" and width == widths[0]
                    seen["axe"] += [f"{path} at {width}, {name}: {one}" for one in judged(driver, whole)]
                scroll, client = driver.execute_script(
                    "const e = document.documentElement; return [e.scrollWidth, e.clientWidth];")
                if scroll > client:
                    seen["wide"].append(f"{path} at {width}, all open: {scroll} > {client}")
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
