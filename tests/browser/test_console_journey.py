"""The pages in a real browser (Chromium): sign in, find a letter, decide about it, sign out; `make browser` runs it."""

from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from app.domain import Role
from app.errors import RateLimited, Unmappable
from app.flows.access import accounts
from app.stores.sql.engine import Database
from app.web.auth import AuthSettings
from tests.fakes import World
from tests.letters import all_letters, die
from tests.web.serving import serving

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture
def chromium() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for switch in SWITCHES:
        options.add_argument(switch)
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


def press(chromium: webdriver.Chrome, button: str) -> None:
    follow(chromium, chromium.find_element(By.XPATH, f"//button[starts-with(text(), '{button}')]"))


def follow(chromium: webdriver.Chrome, element: WebElement) -> None:
    """Click, and wait until the next page is whole.

    A click returns while Chromium still swaps the pages: what is found in that moment may belong to either, and
    ChromeDriver tells of the old page's elements in more than one way. So the old page is marked and the mark watched.
    """
    chromium.execute_script("window.isLeft = true")
    element.click()
    WebDriverWait(chromium, 60, ignored_exceptions=[WebDriverException]).until(
        lambda page: page.execute_script("return !window.isLeft && document.readyState == 'complete'")
    )


def heading(chromium: webdriver.Chrome) -> str:
    return chromium.find_element(By.TAG_NAME, "h1").text


def test_a_support_engineer_finds_understands_and_decides(chromium: webdriver.Chrome, database: Database) -> None:
    world = World(database)
    for item in ("A", "B"):
        die(world, item, RateLimited(f"GET /x/{item}1: 429 too many requests"))
    die(world, "C", Unmappable("price: expected a number, got <script>alert(1)</script>"))
    accounts.add_user(world.deps, "anna", PASSWORD, Role.OPERATOR)
    with serving(world.deps, doors=AuthSettings()) as client:
        chromium.get(f"{client.base_url}/dead-letters")
        chromium.find_element(By.NAME, "name").send_keys("anna")
        chromium.find_element(By.NAME, "password").send_keys(PASSWORD)
        press(chromium, "Sign in")
        assert heading(chromium) == "3 letters, 2 causes, 3 items"

        chromium.find_element(By.NAME, "filter").send_keys("cause:Unmappable")
        press(chromium, "Show")
        assert heading(chromium) == "1 letter, 1 cause, 1 item"
        follow(chromium, chromium.find_element(By.CSS_SELECTOR, "td a[href^='/dead-letters/']"))
        assert "<script>alert(1)</script>" in heading(chromium)

        chromium.find_element(By.NAME, "why").send_keys("sold out for good")
        press(chromium, "Discard")
        assert "by user anna: sold out for good" in chromium.find_element(By.TAG_NAME, "dl").text
        press(chromium, "Undo the discard")
        press(chromium, "Replay")
        assert heading(chromium).startswith("letter ")
        press(chromium, "Abort")
        assert "Aborted: by user anna" in chromium.find_element(By.CSS_SELECTOR, ".note").text
        assert [letter.state for letter in all_letters(database)] == ["dead"] * 3

        press(chromium, "Sign out")
        chromium.get(f"{client.base_url}/dead-letters")
        assert heading(chromium) == "Sign in"
        assert chromium.get_log("browser") == []  # type: ignore[no-untyped-call]  # no refused style, no error
