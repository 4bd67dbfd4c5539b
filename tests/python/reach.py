"""Goes through the maintenance page as people do who use no mouse, no scripts, or large letters, and prints one
JSON document of what stood in their way.

    reach.py BASE USER PASSWORD LANGUAGE

`keyboard`: on each screen the tab key comes to every control and link, each shows that it has the focus by a ring of
at least 2 px and 3:1 against what is behind it, is not hidden behind something, and the focus leaves the page at its
end, light and dark. `log`: the log is followed and paused.
`scripts_off`: every screen reads the same, a filter filters and a form is carried out. `large`: with letters twice
as large nothing scrolls sideways at 320 px. `contained`: nothing lies beyond the screen's edge there either,
scrolled or cut. Exit code 0 when all was tried; the caller judges the document.
"""

import json
import sys

from selenium.webdriver.common.by import By

from pages import SECTIONS, browser, comes, log_in, placed, places, scheme, size

# Everything that the tab key must come to, numbered in the document's order.
NUMBER = """
const seen = e => e.checkVisibility({visibilityProperty: true}) && !e.disabled && e.tabIndex >= 0;
const all = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]')]
  .filter(seen);
all.forEach((e, n) => { e.dataset.reach = n; });
document.activeElement.blur();
return all.map(e => e.outerHTML.slice(0, 100));
"""
# Where the focus is: the number, whether it shows, whether something lies over it.
FOCUS = """
const e = document.activeElement;
if (!e || e === document.body) return null;
const s = getComputedStyle(e), r = e.getBoundingClientRect();
const drawn = (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2) || s.outlineStyle === 'auto';
const rgb = text => (text.match(/[\d.]+/g) || []).map(Number);
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
  return .2126 * r + .7152 * g + .0722 * b; };
// The ring lies around the control: on what is behind it.
let under = [255, 255, 255];
for (let p = e.parentElement; p; p = p.parentElement) {
  const c = rgb(getComputedStyle(p).backgroundColor);
  if (c.length === 3 || c[3] === 1) { under = c; break; }
}
const [a, b] = [light(rgb(s.outlineColor)), light(under)].sort((x, y) => y - x);
const clear = s.outlineStyle === 'auto' || (a + .05) / (b + .05) >= 3;
const spots = [[.5, .5], [.1, .5], [.9, .5], [.5, .2], [.5, .8]].map(([x, y]) => [r.left + r.width * x, r.top + r.height * y]);
const free = spots.some(([x, y]) => { const on = document.elementFromPoint(x, y); return on && (e.contains(on) || on.contains(e)); });
return [e.dataset.reach === undefined ? -1 : Number(e.dataset.reach), drawn && clear, free, e.outerHTML.slice(0, 100)];
"""
# Text and controls that begin or end beyond the screen, whatever hides the bar for scrolling.
BEYOND = """
const wide = document.documentElement.clientWidth;
return [...document.querySelectorAll('main *, header *, nav *')]
  .filter(e => e.checkVisibility() && !e.closest('svg') && !e.closest('.skip'))
  .filter(e => { const r = e.getBoundingClientRect(); return r.width > 0 && (r.right > wide + 1 || r.left < -1); })
  .slice(0, 3).map(e => e.outerHTML.slice(0, 120));
"""


def press(driver, key, code):
    for kind in ("rawKeyDown", "keyUp"):
        driver.execute_cdp_cmd("Input.dispatchKeyEvent", {
            "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code})


def keyboard(driver, base, paths):
    troubles, controls = [], 0
    for path in paths:
        driver.get(base + path)
        wanted = driver.execute_script(NUMBER)
        controls += len(wanted)
        reached = set()
        left = 0
        # A field that has the focus at first lies in the middle: then it goes round once more.
        rounds = 2 if driver.execute_script("return !!document.querySelector('[autofocus]');") else 1
        # A date has several stops of its own.
        for _ in range(len(wanted) * 3 + 40):
            press(driver, "Tab", 9)
            at = driver.execute_script(FOCUS)
            if at is None:
                left += 1
                if left == rounds:
                    break
                continue
            number, drawn, free, what = at
            if number not in reached:
                if not drawn:
                    troubles.append(f"{path}: no focus to be seen on {what}")
                if not free:
                    troubles.append(f"{path}: something lies over {what}")
            elif number == min(reached) and len(reached) >= len(wanted):
                left += 1  # round the page and at its first control again
                break
            reached.add(number)
        if not left:
            troubles.append(f"{path}: the focus does not leave the page")
        troubles += [f"{path}: the tab key does not come to {what}"
                     for n, what in enumerate(wanted) if n not in reached]
    return troubles, controls


def text_of(driver):
    return driver.execute_script("return document.querySelector('main').innerText;")


def scripts_off(driver, base, paths, user, password, language):
    """With scripts off the browser's driver still asks the page, the page itself runs nothing."""
    troubles = []
    for path in paths:
        driver.get(base + path)
        # The page's script is what shows this button: with it the log is followed.
        if path == "/log" and not driver.execute_script("return document.querySelector('[data-follow]').hidden;"):
            troubles.append("scripts were not off")
        heading, text = driver.execute_script("""
            const h = document.querySelector('main h1, main h2');
            return [h ? h.innerText : '', document.querySelector('main').innerText];""")
        if not heading.strip() or len(text.strip()) < 20:
            troubles.append(f"{path}: nothing to read: {text[:80]!r}")
        lost = driver.execute_script("""
            return [...document.querySelectorAll('main form')]
              .filter(f => !f.querySelector('button[type=submit], button:not([type])')).length;""")
        if lost:
            troubles.append(f"{path}: {lost} forms have no button")
    # A filter.
    driver.get(f"{base}/meters")
    driver.find_element(By.NAME, "q").send_keys("no-such-meter")
    driver.find_element(By.CSS_SELECTOR, "main form[method=get] button").click()
    if not comes(driver, lambda d: "q=no-such-meter" in d.current_url
                 and d.find_elements(By.CSS_SELECTOR, "main .empty")):
        troubles.append(f"a filter: {driver.current_url}")
    # A form that is wrong, and one that is right.
    driver.get(f"{base}/users")
    form = driver.find_element(By.CSS_SELECTOR, "form[action='/users/save']")
    form.find_element(By.NAME, "user").send_keys("quiet")
    form.find_element(By.NAME, "password").send_keys("short")
    form.find_element(By.CSS_SELECTOR, "button").click()
    if not comes(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "main [role=alert]")):
        troubles.append("a wrong form says nothing")
    form = driver.find_element(By.CSS_SELECTOR, "form[action='/users/save']")
    field = form.find_element(By.NAME, "user")
    field.clear()
    field.send_keys("quiet")
    form.find_element(By.NAME, "password").send_keys("a long enough one")
    form.find_element(By.CSS_SELECTOR, "button").click()
    if not comes(driver, lambda d: "quiet" in text_of(d) and d.find_elements(By.CSS_SELECTOR, "main .note.good")):
        troubles.append("a form was not carried out")
    # What comes and goes with scripts only must not be needed: out, and in again.
    driver.find_element(By.CSS_SELECTOR, "form[action='/logout'] button").click()
    log_in(driver, base, user, password, language)
    return troubles


def log_follows(driver, base):
    """The log's button says what it does, and a second press stops it."""
    driver.get(f"{base}/log")
    button = driver.find_element(By.CSS_SELECTOR, "[data-follow]")
    if not button.is_displayed():
        return ["the log cannot be followed"]
    told = []
    for wanted in ("true", "false"):
        button.click()
        if button.get_attribute("aria-pressed") != wanted:
            told.append(f"pressed is not {wanted}")
    return told


def large(driver, base, paths):
    wide, beyond = [], []
    for path in paths:
        driver.get(base + path)
        size_px, scroll, client = driver.execute_script("""
            const e = document.documentElement;
            return [parseFloat(getComputedStyle(document.body).fontSize), e.scrollWidth, e.clientWidth];""")
        if size_px < 32:
            wide.append(f"{path}: letters of {size_px} px: the browser's own size is not followed")
        if scroll > client:
            wide.append(f"{path}: {scroll} > {client}")
        beyond += [f"{path}: {what}" for what in driver.execute_script(BEYOND)]
    return wide, beyond


def main():
    base, user, password, language = sys.argv[1:5]
    seen = {}
    driver = browser()
    try:
        log_in(driver, base, user, password, language)
        found = places(driver, base)
        paths = [path for path in (placed(section, found) for section in SECTIONS) if path]
        seen["missing"] = [section for section in SECTIONS if not placed(section, found)]
        size(driver, 390)
        seen["keyboard"], seen["controls"] = keyboard(driver, base, paths)
        size(driver, 1280)
        scheme(driver, "dark")
        more, controls = keyboard(driver, base, ["/", "{}".format(found.get("{meter}", "/meters")), "/counter"])
        scheme(driver, "light")
        seen["keyboard"] += more
        seen["controls"] += controls
        seen["log"] = log_follows(driver, base)
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        seen["scripts_off"] = scripts_off(driver, base, paths, user, password, language)
    finally:
        driver.quit()
    driver = browser(preferences={"webkit.webprefs.default_font_size": 32,
                                  "webkit.webprefs.default_fixed_font_size": 26})
    try:
        log_in(driver, base, user, password, language)
        size(driver, 320)
        seen["large"], seen["contained"] = large(driver, base, paths)
    finally:
        driver.quit()
    print(json.dumps(seen, ensure_ascii=False))


main()
