"""Does in a real browser what goes wrong at a counter and in a basement, and prints one JSON document of what was
lost, done twice, or shown as fresh when it was not.

    behave.py BASE USER PASSWORD LANGUAGE

`twice`: a button that is pressed three times at once takes one payment, and so does sending the form again after the
back button. `expired`: a form that comes after its session gets the login; what was typed outlives a wrong password
that comes by the clipboard, and stands in its own form afterwards, not sent. `wrong`: a folded form with a fault
comes back open, with what was typed and the focus at the fault. `stale`: without the gateway values are greyed, the
page says so, ages go on, and all heals by itself; a page that the back button brings is live again. `typed_again`: a
reading that is put right from its bill is not typed once more. `passwords`: every field for one is known to password
managers and takes the clipboard. Exit code 0 when all was tried; the caller judges the
document.
"""

import json
import sys

from selenium.webdriver.common.by import By

from pages import FIRST, browser, comes, log_in, places, size

PAID = """
const done = arguments[arguments.length - 1];
fetch('/v1/accounts/' + arguments[0]).then(a => a.json())
  .then(a => done(a.prepaid_fen - a.owed_fen), e => done(String(e)));
"""
# As a nervous finger does it: all presses come before the browser has left the page.
PRESS = "const b = arguments[0]; b.click(); b.click(); b.click();"
COLOUR = "return getComputedStyle(document.querySelector('[data-meter] .big')).color;"


# True where nothing hinders a password manager or a person to paste.
PASTE = """
const data = new DataTransfer();
data.setData('text/plain', arguments[1]);
return arguments[0].dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
"""


def form_of(driver, action):
    form = driver.find_element(By.CSS_SELECTOR, f"form[action='{action}']")
    driver.execute_script("for (let e = arguments[0]; e; e = e.parentElement) if (e.tagName == 'DETAILS') e.open = true;",
                          form)
    return form


def fill(form, **fields):
    for name, text in fields.items():
        field = form.find_element(By.NAME, name)
        if field.tag_name == "select":
            field.find_element(By.CSS_SELECTOR, f"option[value='{text}']").click()
        else:
            field.clear()
            field.send_keys(text)


def twice(driver, base, household):
    account = household.rsplit("/", 1)[1]
    driver.get(base + household)
    before = driver.execute_async_script(PAID, account)
    form = form_of(driver, f"{household}/pay")
    once = form.find_element(By.NAME, "once").get_attribute("value")
    fill(form, amount="10", channel="cash", toward="prepaid")
    driver.execute_script(PRESS, form.find_element(By.CSS_SELECTOR, "button"))
    troubles = []
    if not comes(driver, lambda d: "/receipts/" in d.current_url):
        troubles.append(f"no receipt: {driver.current_url}")
    after = driver.execute_async_script(PAID, account)
    if after != before + 1000:
        troubles.append(f"three presses: {before} became {after}")
    # The page as it was left is sent once more: with the number that its form had, whether the browser kept the page
    # or asked for it anew.
    def send_again(number):
        driver.back()
        comes(driver, lambda d: d.current_url.endswith(household))
        again = form_of(driver, f"{household}/pay")
        fill(again, amount="10", channel="cash", toward="prepaid")
        if number:
            driver.execute_script("arguments[0].value = arguments[1];", again.find_element(By.NAME, "once"), number)
        again.find_element(By.CSS_SELECTOR, "button").click()
        if not comes(driver, lambda d: "/receipts/" in d.current_url):
            troubles.append(f"the second sending came to nothing: {driver.current_url}")
        return driver.current_url, driver.execute_async_script(PAID, account)

    receipt = driver.current_url
    where, again = send_again(once)
    if again != after:
        troubles.append(f"sent again: {after} became {again}")
    if where != receipt:
        troubles.append(f"sent again: {receipt} became {where}")
    # A form of its own is a payment of its own.
    driver.get(base + household)
    driver.get(receipt)
    where, again = send_again(None)
    if again != after + 1000 or where == receipt:
        troubles.append(f"a new payment: {after} became {again} at {where}")
    return troubles


def expired(driver, base, household, user, password):
    driver.get(base + household)
    form = form_of(driver, f"{household}/deposit")
    typed = {"d_kind": "decoration", "d_amount": "300", "d_contract": "D-7", "d_condition": "the work is inspected"}
    fill(form, **typed)
    driver.delete_all_cookies()
    form.find_element(By.CSS_SELECTOR, "button").click()
    troubles = []
    if not comes(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "form[action='/login'] [name=kept]")):
        return [f"no login that keeps what was typed: {driver.current_url}"]

    # A password manager pastes: nothing may hinder it.
    def enter(word):
        name = driver.find_element(By.NAME, "user")
        name.clear()
        name.send_keys(user)
        driver.execute_script("""
            const field = document.querySelector('[name=password]'), data = new DataTransfer();
            data.setData('text/plain', arguments[0]);
            const paste = new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true});
            if (field.dispatchEvent(paste)) field.value = arguments[0];""", word)
        mark = driver.find_element(By.CSS_SELECTOR, "form[action='/login']")
        mark.find_element(By.CSS_SELECTOR, "button").click()
        return comes(driver, lambda d: not_there(mark))

    enter("not the password")
    # The next try has to wait a moment: whoever comes too early is told so, and tries again.
    if not comes(driver, lambda d: enter(password) and not d.find_elements(By.CSS_SELECTOR, "form[action='/login']")):
        troubles.append("the login came to nothing")
    if not comes(driver, lambda d: d.find_elements(By.CSS_SELECTOR, f"form[action='{household}/deposit']")):
        return troubles + [f"the form does not come back: {driver.current_url}"]
    form = driver.find_element(By.CSS_SELECTOR, f"form[action='{household}/deposit']")
    for name, text in typed.items():
        if form.find_element(By.NAME, name).get_attribute("value") != text:
            troubles.append(f"{name} is lost")
    if not form.is_displayed():
        troubles.append("the form that waits is folded away")
    if driver.execute_script("return arguments[0].contains(document.activeElement);", form) is not True:
        troubles.append("the focus is not in the form that waits")
    others = driver.find_elements(By.CSS_SELECTOR, "main input:not([type=hidden])")
    if sum(field.get_attribute("value") == typed["d_condition"] for field in others) != 1:
        troubles.append("what was typed stands in another form too")
    form.find_element(By.CSS_SELECTOR, "button").click()
    if not comes(driver, lambda d: "/receipts/" in d.current_url):
        troubles.append(f"it cannot be sent: {driver.current_url}")
    return troubles


def not_there(element):
    try:
        element.is_enabled()
        return False
    except Exception:  # gone with its document
        return True


def wrong(driver, base, household):
    driver.get(base + household)
    form = form_of(driver, f"{household}/deposit")
    fill(form, d_kind="decoration", d_amount="1.234", d_contract="D-8", d_condition="inspected")
    form.find_element(By.CSS_SELECTOR, "button").click()
    if not comes(driver, lambda d: d.find_elements(By.CSS_SELECTOR, ".field.wrong")):
        return ["a wrong amount says nothing"]
    field = driver.find_element(By.CSS_SELECTOR, ".field.wrong input")
    troubles = []
    if not field.is_displayed():
        troubles.append("the fault is folded away")
    if driver.switch_to.active_element != field:
        troubles.append("the focus is not at the fault")
    if field.get_attribute("value") != "1.234":
        troubles.append("what was typed is lost")
    return troubles


def stale(driver, base):
    troubles = []

    def network(offline):
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", {
            "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})

    driver.execute_cdp_cmd("Network.enable", {})
    driver.get(f"{base}/meters")
    comes(driver, lambda d: d.execute_script("return !document.body.classList.contains('lost');"))
    fresh = driver.execute_script(COLOUR)
    told = "return !document.getElementById('offline').hidden;"
    network(True)
    # What is open already is not cut by the browser's own switch; asking again is.
    driver.execute_script("dispatchEvent(new PageTransitionEvent('pagehide')); "
                          "dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}));")
    if not comes(driver, lambda d: d.execute_script(told)):
        troubles.append("nobody says that the gateway is gone")
    if driver.execute_script(COLOUR) == fresh:
        troubles.append("values look fresh without the gateway")
    if not driver.find_elements(By.CSS_SELECTOR, "[data-meter] time[data-age]"):
        troubles.append("the age is gone")
    network(False)
    if not comes(driver, lambda d: not d.execute_script(told)):
        troubles.append("it does not heal by itself")
    if driver.execute_script(COLOUR) != fresh:
        troubles.append("values stay grey")
    # Another page and back: the values move again, whether the browser kept the page or asked for it.
    driver.get(f"{base}/lines")
    driver.back()
    driver.execute_script("""
        window.moved = 0;
        new MutationObserver(() => { window.moved += 1; })
          .observe(document.querySelector('main'), {subtree: true, childList: true, characterData: true});""")
    if not comes(driver, lambda d: d.execute_script("return window.moved;") > 0):
        troubles.append("a page that the back button brings stands still")
    return troubles


def typed_again(driver, base, bill):
    driver.get(base + bill)
    links = driver.find_elements(By.CSS_SELECTOR, "main a[href^='/corrections?']")
    if not links:
        return ["a bill's readings cannot be put right from it"]
    links[-1].click()
    if not comes(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "form[action='/corrections/reading']")):
        return ["no form to put it right"]
    form = driver.find_element(By.CSS_SELECTOR, "form[action='/corrections/reading']")
    return [f"{name} is to be typed once more" for name in ("meter", "register", "reading")
            if not form.find_element(By.NAME, name).get_attribute("value")]


def passwords(driver, base):
    """Whoever has a password manager needs to remember and retype nothing."""
    troubles = []
    for path, wanted in [("/me", 3), ("/users", 1), ("/backup", 1)]:
        driver.get(base + path)
        fields = driver.find_elements(By.CSS_SELECTOR, "main input[type=password]")
        if len(fields) < wanted:
            troubles.append(f"{path}: {len(fields)} fields for passwords")
        for field in fields:
            name = field.get_attribute("name")
            if field.get_attribute("autocomplete") not in ("current-password", "new-password"):
                troubles.append(f"{path}: a password manager does not know {name}")
            if not driver.execute_script(PASTE, field, "pasted"):
                troubles.append(f"{path}: nothing can be pasted into {name}")
    driver.delete_all_cookies()
    driver.get(f"{base}/login")
    for name, wanted in [("user", "username"), ("password", "current-password")]:
        field = driver.find_element(By.NAME, name)
        if field.get_attribute("autocomplete") != wanted:
            troubles.append(f"the login's {name} is not {wanted}")
        if not driver.execute_script(PASTE, field, "pasted"):
            troubles.append(f"nothing can be pasted into the login's {name}")
    if driver.find_elements(By.CSS_SELECTOR, "main img, main canvas, main audio"):
        troubles.append("the login asks for more than a name and a password")
    return troubles


def main():
    base, user, password, language = sys.argv[1:5]
    driver = browser()
    try:
        size(driver, 1280)
        log_in(driver, base, user, password, language)
        found = places(driver, base)
        driver.get(f"{base}/bills?item=electricity")
        bill = driver.execute_script("return new URL(document.querySelector(\"main a[href^='/bills/']\").href).pathname;")
        household = found["{household}"]
        seen = {
            "missing": [name for name in FIRST if name not in found],
            "twice": twice(driver, base, household),
            "wrong": wrong(driver, base, household),
            "expired": expired(driver, base, household, user, password),
            "stale": stale(driver, base),
            "typed_again": typed_again(driver, base, bill),
            "passwords": passwords(driver, base),
        }
    finally:
        driver.quit()
    print(json.dumps(seen, ensure_ascii=False))


main()
