#!/usr/bin/env python3
"""The gateway's dashboard in a headless Chromium: opened, filled, clicked, looked at. And whether
the Grafana file asks for metrics that are there.

Exit code 0 if all is as it should be.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from playwright.sync_api import expect, sync_playwright

BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
TOKEN = "an-admin-token"


@contextlib.contextmanager
def gateway(binary, *arguments, **environment):
    """Runs the gateway on a free port; gives its address."""
    process = subprocess.Popen(
        [binary, "--listen", "127.0.0.1:0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment, "RUST_LOG": "error"},
    )
    try:
        for line in process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                yield found.group()
                break
        else:
            raise SystemExit("the gateway printed no address")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


class Visit:
    """One page; what goes wrong in it is an error."""

    def __init__(self, browser, url, **context):
        self.page = browser.new_context(**context).new_page()
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self.said)
        self.foreign = []
        self.page.on("request", lambda request: self.asked(url, request.url))
        self.page.goto(url)

    def said(self, message):
        # that a look without the token was refused is as it should be
        if message.type == "error" and "401" not in message.text:
            self.errors.append(message.text)

    def asked(self, url, asked):
        if not asked.startswith((url, "data:")):
            self.foreign.append(asked)

    def end(self):
        assert not self.errors, self.errors
        assert not self.foreign, self.foreign


def filled(browser, url, pictures):
    """Every panel shows what the demo's calls came to."""
    visit = Visit(browser, url, viewport={"width": 1300, "height": 1900}, color_scheme="light")
    page = visit.page
    expect(page.locator("#state")).to_contain_text("live", timeout=20_000)
    models = page.locator("#models tbody tr")
    for model in ["gpt-5.4", "gpt-5.4-mini", "claude-haiku-4-5", "gpt-5.5"]:
        expect(models.get_by_text(model, exact=True)).to_have_count(1, timeout=60_000)
    counted(page, "gpt-5.4", "calls", "from cache", "tokens in", "tokens out", "cost")
    counted(page, "gpt-5.4-mini", "retries")
    counted(page, "gpt-5.5", "retries", "fell back")
    # three curves need two points in time
    page.select_option("#of-model", "gpt-5.4")
    expect(page.locator("#curve path[data-line]")).to_have_count(3, timeout=60_000)
    expect(page.locator("#curve .key")).to_contain_text("p95")
    expect(page.locator("#histogram rect:not([height='0'])").first).to_be_visible()
    whole = page.locator("#curve .key").inner_text()
    page.select_option("#of-time", "first")
    # drawn anew at once, before there are newer numbers
    first = page.locator("#curve .key").inner_text()
    assert "p95" in first and first != whole, (whole, first)
    expect(page.locator("#histogram .key")).to_contain_text("to the first token")
    expect(page.locator("#spend .key")).to_contain_text("claude-haiku-4-5")
    expect(page.locator("#spent-by")).to_contain_text("the model that answered")
    page.click("#by-user")
    expect(page.locator("#spend .key")).to_contain_text("alice")
    expect(page.locator("#spent-by")).to_contain_text("the user who called")
    expect(page.locator("#spend rect").first).to_be_visible()
    expect(page.locator("#cache")).to_contain_text("hit rate")
    expect(page.locator("#spend rect title").first).to_contain_text(re.compile(r"^\d\d:\d\d:\d\d \w+: \$0\.\d+"))
    budgets = page.locator("#budgets")
    expect(budgets).to_contain_text("user-day-tokens · alice")
    expect(budgets).to_contain_text("6 of 6, the nearest to their limits")
    assert page.locator("#budgets .bar i").first.bounding_box()["width"] > 0, "an empty bar"
    expect(page.locator("#calls")).to_contain_text("reserved", timeout=60_000)
    calls = page.locator("#calls")
    expect(calls).to_contain_text("from the cache", timeout=60_000)
    expect(calls).to_contain_text("throttled", timeout=60_000)
    expect(calls).to_contain_text("→ fake/gpt-5.4", timeout=60_000)
    sent_again = calls.locator("tbody tr").filter(has_text="throttled").filter(has=page.locator("td.good"))
    expect(sent_again.first).to_be_visible(timeout=60_000)
    one_line(sent_again.first)
    assert "Which fruit" not in page.content(), "a prompt is on the page"
    page.screenshot(path=pictures / "light.png", full_page=True)
    visit.end()


def counted(page, model, *columns):
    """These columns of a model's row come to be more than nothing."""
    names = page.locator("#models thead th").all_inner_texts()
    row = page.locator("#models tbody tr").filter(has=page.get_by_text(model, exact=True))
    for column in columns:
        cell = row.locator("td").nth(names.index(column))
        expect(cell).to_have_text(re.compile(r"[1-9]"), timeout=120_000)


def one_line(row):
    """When, who, which model, what the layers did, tokens, cost and times of a call that was sent again."""
    at, user, model, did, came_to, tokens, cost, first, whole = row.locator("td").all_inner_texts()
    assert re.fullmatch(r"\d\d:\d\d:\d\d", at), at
    assert user in ("alice", "bob", "carol"), user
    assert model.startswith("gpt-5.4-mini"), model
    assert re.search(r"reserved [\d,]+", did) and re.search(r"gpt-5\.4-mini → throttled \d+ ms", did), did
    assert came_to == "ok" and re.search(r"\d", tokens) and cost.startswith("$0."), (came_to, tokens, cost)
    assert re.search(r"\d m?s", whole), whole


def in_trouble(browser, url, pictures):
    """A model that is down: its circuit counts down to the next probe, its broken streams go on elsewhere,
    and what is spent comes to an alert."""
    visit = Visit(browser, url, viewport={"width": 1300, "height": 1900}, color_scheme="dark")
    page = visit.page
    row = page.locator("#breakers tbody tr").filter(has_text="gpt-5.5@")
    probe = row.locator("td").nth(2)
    expect(probe).to_have_text(re.compile(r"^in [\d.]+ s$"), timeout=180_000)
    expect(row.locator("td").nth(1)).to_have_text("open")
    before = seconds(probe)
    page.wait_for_function(
        "before => { const cell = [...document.querySelectorAll('#breakers tbody tr')]"
        ".find(row => row.textContent.includes('gpt-5.5@')).children[2].textContent;"
        " return !cell.startsWith('in ') || parseFloat(cell.slice(3)) < before; }",
        arg=before,
        timeout=30_000,
    )
    expect(page.locator("#alerts tbody tr").first).to_contain_text("the last hour cost $", timeout=180_000)
    gone_on = page.locator("#calls tbody tr").filter(has_text="broke off, went on at fake/gpt-5.")
    expect(gone_on.first).to_be_visible(timeout=180_000)
    page.screenshot(path=pictures / "dark.png", full_page=True)
    visit.end()


def seconds(cell):
    return float(re.search(r"[\d.]+", cell.inner_text()).group())


def by_hand(browser, url):
    """A circuit is opened and reset by a click."""
    visit = Visit(browser, url)
    row = visit.page.locator("#breakers tbody tr").filter(has_text="gpt-5.4-mini@")
    expect(row).to_contain_text("closed", timeout=60_000)
    row.get_by_role("button", name="open").click()
    expect(row).to_contain_text("forced open")
    expect(visit.page.locator("#calls")).to_contain_text("refused", timeout=60_000)
    row.get_by_role("button", name="reset").click()
    expect(row).to_contain_text("closed")
    visit.end()


def on_a_phone(browser, url, pictures):
    """Nothing is wider than the screen, and dark is dark."""
    visit = Visit(
        browser, url, viewport={"width": 390, "height": 844}, color_scheme="dark", device_scale_factor=2
    )
    page = visit.page
    expect(page.locator("#calls tbody tr").first).to_be_visible(timeout=20_000)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, f"{wide} pixels on a screen of 390"
    # nor is anything cut off: what the layers did is there to read
    for row in ["#calls tbody tr", "#breakers tbody tr", "#models tbody tr"]:
        for cell in page.locator(row).first.locator("td").all():
            box = cell.bounding_box()
            assert box is None or box["x"] + box["width"] <= 390, (row, cell.inner_text(), box)
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", back)[:3])) < 64, back
    page.screenshot(path=pictures / "phone.png", full_page=True)
    page.locator("#calls").scroll_into_view_if_needed()
    page.screenshot(path=pictures / "phone-calls.png")
    visit.end()


def with_a_token(browser, binary, folder):
    """Nothing is shown before the token is given, nor for a wrong one."""
    config = folder / "gateway.toml"
    config.write_text(
        '[admin]\ntoken_env = "ADMIN_TOKEN"\n[breaker]\n'
        '[[provider]]\nname = "none"\nbase_url = "http://127.0.0.1:9"\n'
    )
    with gateway(binary, "--config", str(config), ADMIN_TOKEN=TOKEN) as url:
        visit = Visit(browser, url)
        page = visit.page
        expect(page.locator("#login")).to_be_visible()
        expect(page.locator("#main")).to_be_hidden()
        page.fill("#token", "another")
        page.get_by_role("button", name="Look").click()
        expect(page.locator("#refused")).to_contain_text("admin token")
        page.fill("#token", TOKEN)
        page.get_by_role("button", name="Look").click()
        expect(page.locator("#main")).to_be_visible()
        expect(page.locator("#budgets")).to_contain_text("There is no [budget]")
        visit.end()


def for_grafana(url):
    """What the Grafana file asks for is there: each metric, and each label that it is summed by."""
    board = json.loads(pathlib.Path(__file__).with_name("grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked = {}
    for query in queries:
        names = re.findall(r"\b(?:gen_ai_client|llm)_[a-z_]+(?=[\s{\[)]|$)", query)
        assert names, f"it asks for nothing: {query}"
        by = {label for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(", ")}
        for name in names:
            asked.setdefault(name, set()).update(by)
    # a circuit has a time to its next probe only while it is open
    until = time.monotonic() + 180
    while missing := not_there(url, asked):
        assert time.monotonic() < until, missing
        time.sleep(1)
    assert len(asked) >= 28, len(asked)


def not_there(url, asked):
    with urllib.request.urlopen(url + "/metrics") as answer:
        told = answer.read().decode()
    there = {}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? ", told, re.MULTILINE):
        there.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return {
        name: labels - there.get(name, set())
        for name, labels in asked.items()
        if name not in there or labels - there[name]
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateway", required=True, help="the gateway's binary")
    parser.add_argument("--screenshots", type=pathlib.Path, help="where to leave pictures")
    arguments = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        if os.environ.get("TEST_SERVERS") == "required":
            raise SystemExit("there is no Chromium, and TEST_SERVERS=required")
        print("SKIPPED: there is no Chromium; make servers installs it")
        return
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pictures = arguments.screenshots or folder
        pictures.mkdir(parents=True, exist_ok=True)
        browsers = stack.enter_context(sync_playwright()).chromium
        browser = browsers.launch(executable_path=chromium, args=["--no-sandbox"])
        url = stack.enter_context(gateway(arguments.gateway))
        # its circuit is open soon after the start
        in_trouble(browser, url, pictures)
        filled(browser, url, pictures)
        by_hand(browser, url)
        on_a_phone(browser, url, pictures)
        for_grafana(url)
        with_a_token(browser, arguments.gateway, folder)
        browser.close()
    print("the dashboard is as it should be")


if __name__ == "__main__":
    sys.exit(main())
