"""What the browser's walks share: Debian's Chromium by its driver, the login, and the page's places."""

import re
import urllib.parse
from pathlib import Path

import axe_core_python
from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
# Every screen; a name in braces is the first thing of its kind, which the block must have.
SECTIONS = [
    "/", "/more", "/me", "/meters", "/meters?show=trouble", "{meter}", "{meter}?span=month", "{meter}?span=year",
    "{meter}/exchange", "/lines", "/scan", "{scan}", "/sheet", "/households", "{household}", "{household}/move-out",
    "/bills", "{bill}", "/counter", "/receipts", "{receipt}", "/corrections", "/rules", "/parking", "/stays",
    "/unresolved", "/tariff-board", "/doors", "{door}", "/door-events", "/controllers", "/door-rights", "/board",
    "/alarms", "{alarm}", "/system", "/outbox", "/audit", "/log", "/diagnostics", "/backup", "/start", "/users",
]
FIRST = {"{meter}": "/meters", "{household}": "/households", "{bill}": "/bills", "{receipt}": "/receipts",
         "{alarm}": "/alarms", "{door}": "/doors", "{scan}": "/scan"}
# Lists that a block which is lived in has something in.
FULL = ["/meters", "/lines", "/scan", "/sheet", "/households", "/bills", "/receipts", "/counter", "/parking", "/stays",
        "/unresolved", "/doors", "/door-events", "/controllers", "/door-rights", "/alarms", "/audit", "/log", "/users"]


def browser(*arguments, preferences=None):
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                     "--disable-component-update", "--disable-dev-shm-usage", "--lang=en", *arguments):
        options.add_argument(argument)
    if preferences:
        options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def comes(driver, condition):
    """Whether it holds before half a minute is over. A press returns before the next document is there."""
    try:
        WebDriverWait(driver, 30, ignored_exceptions=[WebDriverException]).until(condition)
        return True
    except TimeoutException:
        return False


def log_in(driver, base, user, password, language="en"):
    driver.get(f"{base}/language/{language}?back=/login")
    field = driver.find_element(By.NAME, "user")
    field.clear()
    field.send_keys(user)
    driver.find_element(By.NAME, "password").send_keys(password)
    driver.find_element(By.CSS_SELECTOR, "main button[type=submit]").click()
    WebDriverWait(driver, 30).until(lambda d: urllib.parse.urlsplit(d.current_url).path != "/login")


def places(driver, base):
    """The first thing of each kind, by its list; those that are not there are left out."""
    found = {}
    for name, path in FIRST.items():
        driver.get(base + path)
        links = driver.execute_script(
            "return [...document.querySelectorAll('main a[href]')].map(a => new URL(a.href).pathname);")
        links = [link for link in links if link.startswith(path + "/")]
        if links:
            found[name] = links[0]
    return found


def placed(section, found):
    """A section's path; None where the block lacks what it is about."""
    name = re.match(r"\{\w+\}", section)
    if not name:
        return section
    place = found.get(name.group())
    return place and section.replace(name.group(), place)


def size(driver, width, height=900):
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 800})


def scheme(driver, name):
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": name}]})
