"""Leaves the maintenance page alone in a real browser until it only reads, and prints one JSON document of what went
otherwise than it should.

    idle.py BASE USER PASSWORD LANGUAGE

The gateway's `[http] lock_after` is a few seconds. The page stays open with its live values and is asked by its own
script all the while, which is nobody. `locked`: then it says so and offers the password; no button that orders is
left; a form that was filled in before is kept while the password is asked for, a wrong one and a right one that is
pasted, and stands in its own place afterwards, to be sent by a person. Exit code 0 when all was tried; the caller
judges the document.
"""

import json
import sys

from selenium.webdriver.common.by import By

from pages import browser, comes, log_in, size

# As the page's own script asks: that keeps nobody's session awake.
ASK = """
const done = arguments[arguments.length - 1];
fetch(arguments[0]).then(a => a.text()).then(t => done(t.includes('action="/unlock"')), () => done(false));
"""
PASTE = """
const field = arguments[0], data = new DataTransfer();
data.setData('text/plain', arguments[1]);
const paste = new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true});
if (field.dispatchEvent(paste)) field.value = arguments[1];
"""


def left_alone(driver, path):
    return comes(driver, lambda d: d.execute_async_script(ASK, path))


def unlock(driver, word):
    field = driver.find_element(By.CSS_SELECTOR, "form[action='/unlock'] [name=password]")
    driver.execute_script(PASTE, field, word)
    driver.find_element(By.CSS_SELECTOR, "form[action='/unlock'] button").click()


def locked(driver, base, password):
    troubles = []
    driver.get(f"{base}/users")
    form = driver.find_element(By.CSS_SELECTOR, "form[action='/users/save']")
    if driver.find_elements(By.CSS_SELECTOR, "form[action='/unlock']"):
        troubles.append("it is read-only from the beginning")
    if not left_alone(driver, "/users"):
        return troubles + ["it never becomes read-only"]
    # What was open before: its form is not carried out.
    form.find_element(By.NAME, "user").send_keys("late")
    form.find_element(By.NAME, "password").send_keys("a long enough one")
    form.find_element(By.CSS_SELECTOR, "button").click()
    if not comes(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "form[action='/unlock']")):
        return troubles + [f"a form is carried out by nobody: {driver.current_url}"]
    unlock(driver, password)
    comes(driver, lambda d: not d.find_elements(By.CSS_SELECTOR, "form[action='/unlock']"))
    driver.get(f"{base}/users")
    if "late" in driver.find_element(By.TAG_NAME, "main").text:
        troubles.append("the form was carried out although nobody was there")
    # A form that holds no secret is kept.
    driver.get(f"{base}/scan")
    form = driver.find_element(By.CSS_SELECTOR, "form[action='/scan/begin']")
    field = form.find_element(By.NAME, "units")
    field.clear()
    field.send_keys("7-9")
    if not left_alone(driver, "/meters"):
        return troubles + ["it does not become read-only again"]
    form.find_element(By.CSS_SELECTOR, "button").click()
    if not comes(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "form[action='/unlock'] [name=kept]")):
        return troubles + [f"what was typed is not kept: {driver.current_url}"]
    unlock(driver, "not the password")
    comes(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "form[action='/unlock'] [name=kept]")
          and d.find_elements(By.CSS_SELECTOR, "main [role=alert], main .note.bad"))

    # The next try has to wait a moment: whoever comes too early is told so, and tries again.
    def opens(d):
        if d.find_elements(By.CSS_SELECTOR, "form[action='/unlock']"):
            unlock(d, password)
        return d.find_elements(By.CSS_SELECTOR, "form[action='/scan/begin']")

    if not comes(driver, opens):
        return troubles + [f"the password opens nothing: {driver.current_url}"]
    kept = driver.find_element(By.CSS_SELECTOR, "form[action='/scan/begin'] [name=units]").get_attribute("value")
    if kept != "7-9":
        troubles.append(f"what was typed is {kept!r}")
    # Screens that are opened while nobody is there: they read, say so, and order nothing.
    if not left_alone(driver, "/meters"):
        troubles.append("it does not become read-only a third time")
    driver.get(f"{base}/users")
    if not driver.find_elements(By.CSS_SELECTOR, "form[action='/unlock']"):
        troubles.append("a screen does not say that it only reads")
    orders = driver.find_elements(By.CSS_SELECTOR, "main form[method=post]:not([action='/unlock'])")
    troubles += [f"still there: {form.get_attribute('action')}" for form in orders]
    return troubles


def main():
    base, user, password, language = sys.argv[1:5]
    driver = browser()
    try:
        size(driver, 390)
        log_in(driver, base, user, password, language)
        seen = {"locked": locked(driver, base, password)}
    finally:
        driver.quit()
    print(json.dumps(seen, ensure_ascii=False))


main()
