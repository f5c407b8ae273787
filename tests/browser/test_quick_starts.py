"""Quick starts, as a developer reads them."""


def test_a_developer_chooses_software_and_fills_in_a_client_id(a_window, issuer, looks_right):
    page = a_window("desk")
    page.goto(f"{issuer}/developers")
    looks_right(page, "developers")
    page.get_by_role("link", name="Quick starts").click()
    looks_right(page, "quick-starts")
    page.get_by_role("link", name="openid-client").click()
    page.get_by_label("Client id").fill("assembly")
    page.get_by_label("Address of your application").fill("https://assembly.example")
    page.get_by_role("button", name="Fill in").click()
    assert "'assembly'" in page.locator("#file-1").inner_text()
    looks_right(page, "quick-start")
    page.get_by_label("Address of your application").fill("https://assembly.example/callback")
    page.get_by_role("button", name="Fill in").click()
    assert "must end after the host" in page.locator(".error-summary").inner_text()
    looks_right(page, "quick-start-refused")
