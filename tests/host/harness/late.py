"""Answers of the server that come late: carried out, and held up on their way back to a page."""

from __future__ import annotations

from host.harness.browser import ComfyPage

HOLD = """([pattern, method]) => {
    const real = window.fetch, held = [];
    window.letGo = () => { window.fetch = real; held.splice(0).forEach(go => go()); return true };
    window.heldUp = () => held.length;
    window.fetch = async (address, options) => {
        const answer = await real(address, options);
        const isMeant = new RegExp(pattern).test(String(address.url ?? address)) && (options?.method ?? "GET") === method;
        if (isMeant) await new Promise(go => held.push(go));
        return answer;
    };
}"""
"""In the page: holds up the answers to requests of a method whose address fits a pattern, until letGo()."""


class Late:
    """Holds them up from now on, in one page."""

    def __init__(self, page: ComfyPage, pattern: str, method: str = "POST"):
        self._page = page
        page.page.evaluate(HOLD, [pattern, method])

    def wait(self, count: int = 1) -> None:
        """Until so many are held up."""
        self._page.page.wait_for_function("count => window.heldUp() >= count", arg=count)

    @property
    def count(self) -> int:
        return self._page.page.evaluate("() => window.heldUp()")

    def come(self) -> None:
        """Lets them all go, and everything that comes after, and waits until the page has done with it."""
        self._page.page.evaluate("() => window.letGo()")
        self._page.rest()
